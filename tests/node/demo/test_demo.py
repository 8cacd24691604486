"""The demo as a user starts it: a broker, a node and a subscriber as real processes and sockets."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from paho.mqtt import publish

from earshot_node.cli.main import COMMANDS
from earshot_node.demo.broker import EmbeddedBroker
from earshot_node.demo.show import next_steps, program_name
from earshot_node.demo.subscriber import Subscriber
from earshot_node.errors import OperatorError

DEMO = [sys.executable, "-m", "earshot_node", "demo"]


def run_demo(*args: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*DEMO, *args],
        capture_output=True,
        text=True,
        timeout=110,
        env={**os.environ, **(environment or {})},
        check=False,
    )


@pytest.mark.slow
def test_scene_is_heard_over_mqtt_and_summed_up() -> None:
    other_node = {"EARSHOT_MQTT_HOST": "nowhere.invalid", "EARSHOT_NODE_ID": "other"}
    result = run_demo("--duration", "24", environment=other_node)
    assert result.returncode == 0, result.stdout + result.stderr
    assert result.stderr == ""
    assert re.search(r"^ +\d+\.\d s  street  siren rises: wail", result.stdout, re.MULTILINE)
    on = re.search(
        r"^ +(\d+\.\d) s  EVENT   siren ON  \((\d+) %\)  .*, (\d+) ms after deciding$", result.stdout, re.MULTILINE
    )
    assert on
    assert 6.0 <= float(on[1]) <= 20.0
    assert int(on[3]) < 1000
    assert re.search(
        r"^ +\d+\.\d s  EVENT   siren kind: wail, known \d+\.\d s after its onset$", result.stdout, re.MULTILINE
    )
    assert "Heard 1 of 1 siren, 0 false alarms, ignored 1 of 1 trap." in result.stdout
    assert re.search(r"The node used \d+ MB of memory, \d+\.\d% of one core\.", result.stdout)
    assert "would now show 2 devices" in result.stdout
    assert re.search(r"(node-cli|scripts/node) run --config node.yaml", result.stdout)
    assert "\x1b" not in result.stdout


@pytest.mark.slow
def test_quiet_file_plays_to_its_end_and_nothing_is_heard(tmp_path: Path) -> None:
    path = tmp_path / "quiet.flac"
    noise = np.random.default_rng(1).normal(0, 0.001, 2 * 44_100).astype(np.float32)
    soundfile.write(path, noise, 44_100)
    result = run_demo(str(path))
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Heard 0 events in 2.0 s." in result.stdout


def test_file_that_is_no_audio_is_told_in_a_line(tmp_path: Path) -> None:
    path = tmp_path / "text.wav"
    path.write_text("not audio")
    result = run_demo(str(path))
    assert result.returncode == 1
    assert result.stderr == f"error: {path}: cannot be read as audio; give a WAV, FLAC, OGG, MP3 or Opus file\n"
    assert "no such file" in run_demo(str(tmp_path / "absent.wav")).stderr


@pytest.mark.slow
def test_interrupt_ends_all_of_it_and_leaves_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen([*DEMO], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)
    assert process.stdout is not None
    for line in process.stdout:
        if "car" in line or "trap:" in line:
            break
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert stderr.strip() == ""
    assert list(tmp_path.iterdir()) == []


def test_embedded_broker_hands_messages_on_and_ends() -> None:
    with EmbeddedBroker() as broker:
        with Subscriber("127.0.0.1", broker.port, ("a/#",)) as subscriber:
            publish.single("a/b", b"\x00\xff", qos=1, hostname="127.0.0.1", port=broker.port)
            received = subscriber.messages.get(timeout=10)
        assert (received.topic, received.payload) == ("a/b", b"\x00\xff")
    with EmbeddedBroker() as other:
        assert other.port


def test_missing_broker_package_is_told_with_the_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "amqtt.broker", None)
    with pytest.raises(OperatorError, match=r"pip install '\.\[demo\]'"), EmbeddedBroker():
        raise AssertionError("it must not start")


def test_next_steps_are_commands_that_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert program_name() == "scripts/node"
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    steps = "\n".join(next_steps(program_name()))
    named = re.findall(r"node-cli (\w+)", steps)
    assert named == ["devices", "run", "demo", "analyze"]
    assert set(named) <= set(COMMANDS)
