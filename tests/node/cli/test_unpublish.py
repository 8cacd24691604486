"""`node-cli unpublish` against a real broker and after a real node."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import yaml
from paho.mqtt import publish
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import retained

PROGRAM = [sys.executable, "-m", "earshot_node"]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, *args], capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )


def write_config(folder: Path, broker: Mosquitto, node: str) -> Path:
    soundfile.write(folder / "quiet.wav", np.zeros(16_000, np.float32), 16_000)
    path = folder / "node.yaml"
    config = {
        "node": {"id": node, "state_dir": "state"},
        "sources": [{"id": "file", "type": "file", "path": "quiet.wav"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port},
        "http": {"enabled": False},
    }
    path.write_text(yaml.safe_dump(config))
    return path


def left_of(node: str, broker: Mosquitto) -> list[str]:
    """Return the retained topics of a node."""
    return sorted(retained(broker.port, f"earshot/{node}/#", f"homeassistant/device/{node}/#"))


@pytest.mark.mosquitto
def test_everything_that_a_node_left_is_removed(tmp_path: Path, broker: Mosquitto) -> None:
    path = write_config(tmp_path, broker, "unpublished")
    assert run("run", "--config", str(path)).returncode == 0
    assert len(left_of("unpublished", broker)) >= 5
    result = run("unpublish", "--config", str(path), "--yes")
    assert result.returncode == 0, result.stderr
    assert "removed homeassistant/device/unpublished/node/config" in result.stdout
    assert left_of("unpublished", broker) == []
    again = run("unpublish", "--config", str(path), "--yes")
    assert again.returncode == 0
    assert "0 retained messages" in again.stdout


@pytest.mark.mosquitto
def test_node_of_another_name_is_removed_and_the_configured_one_stays(tmp_path: Path, broker: Mosquitto) -> None:
    path = write_config(tmp_path, broker, "staying")
    assert run("run", "--config", str(path)).returncode == 0
    before = left_of("staying", broker)
    publish.single("earshot/former/info", b"{}", retain=True, hostname="127.0.0.1", port=broker.port)
    result = run("unpublish", "--config", str(path), "--node", "former", "--yes")
    assert result.returncode == 0, result.stderr
    assert left_of("former", broker) == []
    assert left_of("staying", broker) == before


@pytest.mark.mosquitto
def test_online_node_is_left_alone_without_force(tmp_path: Path, broker: Mosquitto) -> None:
    path = write_config(tmp_path, broker, "still_online")
    publish.single("earshot/still_online/status", b"online", retain=True, hostname="127.0.0.1", port=broker.port)
    result = run("unpublish", "--config", str(path), "--yes")
    assert result.returncode == 1
    assert result.stderr == "error: node still_online is online; stop it first, or use --force if it is long gone\n"
    assert left_of("still_online", broker) == ["earshot/still_online/status"]
    assert run("unpublish", "--config", str(path), "--yes", "--force").returncode == 0
    assert left_of("still_online", broker) == []


def test_without_a_person_to_ask_nothing_is_removed(repository: Path) -> None:
    result = run("unpublish", "--config", str(repository / "config" / "node.yaml"))
    assert result.returncode == 2
    assert "give --yes" in result.stderr


def test_broker_that_is_away_is_told_in_a_line(repository: Path) -> None:
    path = repository / "config" / "node.yaml"
    result = subprocess.run(
        [*PROGRAM, "unpublish", "--config", str(path), "--yes"],
        env={"EARSHOT_MQTT_PORT": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("error: connection to localhost:1 refused")
    assert len(result.stderr.splitlines()) == 1
