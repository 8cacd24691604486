"""The household's own loop: record on a node, collect, label, retrain, pass the gate, deploy, run the new model."""

import json
import os
import subprocess
import sys
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from support.bundles import BUNDLED_VERSION
from support.deploying import hearing_noise, join
from support.label_terminal import label_terminal, read_until
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import retained
from support.node_process import NodeProcess
from support.trainer_home import make_home, serving, trainer_cli
from support.waiting import wait_until

from earshot_node.drill.siren import drill_siren
from earshot_trainer.home.folder import Home

PREFIX = "loop"
TINY = (
    "tuning.steps=4", "tuning.batch_size=4", "material.pool_sirens=2", "material.pool_traps=2", "material.pool_music=0",
    "material.pool_backgrounds=2", "material.scenes=4", "material.scene_minutes=1",
)  # fmt: skip


def told(broker: Mosquitto, what: str) -> dict[str, Any]:
    """What the node has said last."""
    payload = retained(broker.port, f"{PREFIX}/hall/{what}").get(f"{PREFIX}/hall/{what}", b"{}")
    return dict(json.loads(payload))


def record(node: NodeProcess, label: str) -> None:
    """Four takes, as a person without a terminal makes them."""
    words = ["record", "--label", label, "--count", "4", "--seconds", "1", "--gap", "0", "--yes"]
    command = [sys.executable, "-m", "earshot_node", *words, "--config", str(node.folder / "node.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def label_what_waits(home: Home) -> None:
    """The siren that the node kept unasked."""
    with label_terminal(home) as (keys, process):
        read_until(keys, "[q] quit")
        os.write(keys, b"s")
        read_until(keys, "That was the last of 1; 1 labelled")
        os.write(keys, b"\n")
        assert process.wait(60) == 0


@pytest.mark.torch
@pytest.mark.mosquitto
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_what_a_node_recorded_comes_back_to_it_as_its_next_model(
    broker: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    home = make_home(tmp_path / "home", mqtt={"host": "127.0.0.1", "port": broker.port, "prefix": PREFIX})
    config: dict[str, Any] = {
        "node": {"id": "hall"},
        "sources": [{"id": "street", "type": "stdin"}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "prefix": PREFIX},
        "http": {"port": free_port()},
        "recordings": {"free_floor_mb": 0, "auto": {"enabled": True}},
    }
    node, sounds = NodeProcess(tmp_path / "hall", config), SimpleQueue[bytes]()
    with serving(home):
        join(home, node)
    with hearing_noise(node, sounds, pace_s=0.4):
        wait_until((node.state_dir / "http_address").exists, 120, "its HTTP")
        node.wait_for_log("first decision", 120)
        sounds.put((drill_siren(-20.0) * 32767).astype("<i2").tobytes())
        wait_until(lambda: told(broker, "recordings").get("candidates") == 1, 120, "a siren kept unasked", every_s=1)
        record(node, "siren")
        record(node, "background")

        collected = trainer_cli(home, "collect", timeout_s=240)
        assert (collected.returncode, collected.stderr) == (0, "")
        assert "here now: 1 unlabelled, 4 background, 4 siren" in collected.stdout
        label_what_waits(home)

        words = [word for setting in TINY for word in ("--set", setting)]
        done = trainer_cli(home, "retrain", "--force", *words, timeout_s=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "catalogue: 9 recordings, 9 usable" in done.stdout
        assert "hall: installed" in done.stdout
        (run,) = (home.folder / "runs").glob("2*")
        release = json.loads((run / "release.json").read_text())
        assert (release["forced"], release["version"] != BUNDLED_VERSION) == (True, True)
        wait_until(lambda: told(broker, "info")["model"]["version"] == release["version"], 60, "its new model")
        assert told(broker, "model/result")["outcome"] == "installed"
