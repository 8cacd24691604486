"""One real Home Assistant for all tests here; each test uses node ids of its own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.home_assistant.installation import install
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.place import Place
from support.home_assistant.releases import RELEASES
from support.mosquitto import Mosquitto


@pytest.fixture(scope="session")
def place() -> Place:
    """Where the tested release is installed."""
    return install(RELEASES[os.environ["EARSHOT_TEST_HOME_ASSISTANT"]])


@pytest.fixture(scope="session")
def home_assistant(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HomeAssistant]:
    """A running Home Assistant with a broker of its own, `home_assistant.broker`, which keeps retained messages.

    For `pytest.mark.home_assistant`. Who restarts it, or the broker, leaves it running.
    """
    with (
        Mosquitto(tmp_path_factory.mktemp("broker"), persistent=True) as broker,
        HomeAssistant(place, broker) as running,
    ):
        yield running


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measurement so that it is seen without `-s`."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", flush=True)

    return say


@pytest.fixture
def siren_recording(audio_data: Path) -> Path:
    """A real fire engine; use with the marker `audio_data`."""
    return audio_data / "urban" / "audio" / "amrrashed_fire_truck_sound.opus"
