"""Fixtures for every test: real parts, or a skip that says how to get them; a failure where EARSHOT_NO_SKIPS is set."""

import importlib.util
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.mosquitto import MOSQUITTO, Mosquitto
from support.soundfonts import SOUNDFONT

REPOSITORY = Path(__file__).resolve().parent.parent
HOME_ASSISTANT_VARIABLE = "EARSHOT_TEST_HOME_ASSISTANT"
HOME_ASSISTANT_TIMEOUT_S = 1500
LEFT_OUT = pytest.StashKey[int]()


def pytest_sessionstart() -> None:
    """Let Ctrl-C reach the programs that tests start, also where the run was begun in the background."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a test whose component is missing, and say how to get it."""
    if item.get_closest_marker("mosquitto") and MOSQUITTO is None:
        pytest.skip("mosquitto is missing; `sudo apt-get install mosquitto`, or run scripts/test as root")
    if item.get_closest_marker("ffmpeg") and shutil.which("ffmpeg") is None:
        pytest.skip("ffmpeg is missing; `sudo apt-get install ffmpeg`, or run scripts/test as root")
    if item.get_closest_marker("portaudio") and importlib.util.find_spec("pyaudio") is None:
        pytest.skip("PyAudio is missing; `sudo apt-get install portaudio19-dev gcc python3-dev`, then scripts/test")
    if item.get_closest_marker("torch") and importlib.util.find_spec("torchaudio") is None:
        pytest.skip("torch is missing; run scripts/test without --node")
    if item.get_closest_marker("soundfont") and not (SOUNDFONT.exists() and importlib.util.find_spec("fluidsynth")):
        pytest.skip(
            "a SoundFont is missing; `sudo apt-get install libfluidsynth3 timgm6mb-soundfont`, then scripts/test"
        )
    if item.get_closest_marker("root") and os.geteuid() != 0:
        pytest.skip("needs root; run scripts/test as root")
    if item.get_closest_marker("audio_data") and not os.environ.get("EARSHOT_DATA"):
        pytest.skip("EARSHOT_DATA is unset; point it to the folder with urban/manifest.csv")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what runs in a real Home Assistant unless scripts/test-home-assistant asks for it; it takes minutes."""
    inside = [item for item in items if item.get_closest_marker("home_assistant")]
    if os.environ.get(HOME_ASSISTANT_VARIABLE):
        for item in inside:
            item.add_marker(pytest.mark.timeout(HOME_ASSISTANT_TIMEOUT_S))
    elif inside:
        config.hook.pytest_deselected(items=inside)
        config.stash[LEFT_OUT] = len(inside)
        items[:] = [item for item in items if not item.get_closest_marker("home_assistant")]


def skipped_reasons(terminal: pytest.TerminalReporter) -> list[str]:
    """Return `test: reason` of everything that was skipped, tests and whole modules."""
    found = []
    for report in terminal.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        found.append(f"{report.nodeid}: {reason.removeprefix('Skipped: ')}")
    return found


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run that passed with skips fail where EARSHOT_NO_SKIPS is set, as in continuous integration."""
    if not os.environ.get("EARSHOT_NO_SKIPS"):
        return
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = skipped_reasons(terminal) if terminal else []
    if skipped and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was left out, and name what was skipped where nothing may be."""
    left_out = terminalreporter.config.stash.get(LEFT_OUT, 0)
    if left_out:
        terminalreporter.section("left out")
        terminalreporter.line(f"{left_out} tests in a real Home Assistant; scripts/test-home-assistant runs them")
    skipped = skipped_reasons(terminalreporter)
    if skipped and os.environ.get("EARSHOT_NO_SKIPS"):
        terminalreporter.section("skipped, and EARSHOT_NO_SKIPS is set", red=True)
        for line in skipped:
            terminalreporter.line(line)


@pytest.fixture
def repository() -> Path:
    """The checkout."""
    return REPOSITORY


@pytest.fixture
def audio_data() -> Path:
    """Real audio with manifests; use with the marker `audio_data`."""
    return Path(os.environ["EARSHOT_DATA"]).resolve()


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mosquitto]:
    """A running mosquitto for the session; mark the test `mosquitto` and use a prefix or node id of its own."""
    with Mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield running


@pytest.fixture
def own_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A running mosquitto with persistence that one test may kill; use with the marker `mosquitto`."""
    folder = tmp_path / "mosquitto"
    folder.mkdir()
    with Mosquitto(folder, persistent=True) as running:
        yield running
