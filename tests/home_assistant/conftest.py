"""One real Home Assistant for all tests here; each test uses node ids of its own."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.home_assistant.blueprints import BLUEPRINTS, Make, automations
from support.home_assistant.household import Household, household
from support.home_assistant.installation import install
from support.home_assistant.instance import HomeAssistant
from support.home_assistant.place import Place
from support.home_assistant.releases import RELEASES
from support.home_assistant.told_node import ToldNode
from support.live_audio import Pcm, read_pcm
from support.mosquitto import Mosquitto
from support.node_process import NodeProcess


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
def quiet_log(home_assistant: HomeAssistant) -> Iterator[None]:
    """Fail the test when Home Assistant's log warns of something meanwhile.

    Of nodes that are gone it may: when a device is gone it empties the discovery topic itself, and has nothing to do
    when it hears that, which may be in the next test.
    """
    begin = home_assistant.process.log_size()
    yield
    there = {key.split("/")[1] for key in home_assistant.devices() if key.startswith("earshot/")}

    def is_of_a_gone_node(text: str) -> bool:
        found = re.match(r"No device components to cleanup for \S+, node_id '([^']+)'", text)
        return found is not None and found[1] not in there

    assert [line for line in home_assistant.problems(begin) if not is_of_a_gone_node(line.text)] == []


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a measurement so that it is seen without `-s`."""

    def say(text: str) -> None:
        with capsys.disabled():
            print(f"\n    {text}", flush=True)

    return say


@pytest.fixture(scope="session")
def siren() -> Pcm:
    """Twelve seconds of a real police car; use with the marker `audio_data`."""
    folder = Path(os.environ["EARSHOT_DATA"]) / "urban" / "audio"
    return read_pcm(folder / "amrrashed_police_car_sound.opus", 1.0, 13.0)


@pytest.fixture
def live_config(home_assistant: HomeAssistant) -> Callable[[str], dict[str, Any]]:
    """Make the configuration of a node with one source, `porch`, that hears what a `LiveAudio` plays."""
    mqtt = {"host": "127.0.0.1", "port": home_assistant.broker.port}
    source = {"id": "porch", "name": "Porch", "type": "stdin"}
    return lambda node_id: {"node": {"id": node_id, "name": f"Node {node_id}"}, "sources": [source], "mqtt": mqtt}


@pytest.fixture
def live_node(live_config: Callable[[str], dict[str, Any]], tmp_path: Path) -> Iterator[Callable[[str], NodeProcess]]:
    """Start a node with such a configuration until the test ends."""
    with ExitStack() as nodes:
        yield lambda node_id: nodes.enter_context(NodeProcess(tmp_path / node_id, live_config(node_id)))


@pytest.fixture(scope="module")
def house(home_assistant: HomeAssistant) -> Iterator[Household]:
    """A node with two sources, another with one, a phone, a lamp, a radio."""
    for path in BLUEPRINTS:
        home_assistant.save_blueprint(f"earshot/{path.name}", path.read_text())
    with household(home_assistant) as home:
        yield home


@pytest.fixture
def make(home_assistant: HomeAssistant) -> Iterator[Make]:
    """Make an automation from a blueprint; return its entity. Removed after the test, whose log must be clean."""
    with automations(home_assistant) as one:
        yield one


@pytest.fixture
def hall(house: Household) -> Iterator[ToldNode]:
    """The node with two sources, `street` and `yard`; quiet again after the test."""
    yield house.hall
    house.hall.hush()


@pytest.fixture
def attic(house: Household) -> Iterator[ToldNode]:
    """The node with one source, `front`; quiet again after the test."""
    yield house.attic
    house.attic.hush()
