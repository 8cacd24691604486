"""Three node processes, one broker, one trainer: they join, are watched, record, are collected, and one goes away."""

import json
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import Subscriber
from support.node_process import NodeProcess
from support.trainer_home import make_home, serving, trainer_cli
from support.waiting import wait_until

from earshot_node.contract.topics import NodeTopics
from earshot_node.synth.scene import street_scene
from earshot_trainer.home.folder import Home

NAMES = ("attic", "hall", "street")
PREFIX = "fleet"


def node_in(folder: Path, name: str, broker: Mosquitto) -> NodeProcess:
    """A node with a street of its own: recordings of the same sound would be one recording to the trainer."""
    scene = folder / f"{name}.wav"
    street_scene(NAMES.index(name), duration_s=30.0).write_wav(scene)
    config: dict[str, Any] = {
        "node": {"id": name},
        "sources": [{"id": "mic", "name": "Mic", "type": "file", "path": str(scene), "loop": True}],
        "mqtt": {"host": "127.0.0.1", "port": broker.port, "prefix": PREFIX},
        "http": {"port": free_port()},
        "recordings": {"free_floor_mb": 0},
    }
    return NodeProcess(folder / name, config)


def join(home: Home, node: NodeProcess) -> None:
    invited = trainer_cli(home, "invite")
    assert invited.returncode == 0, invited.stderr
    command = [sys.executable, "-m", "earshot_node", "join", "--config", str(node.folder / "node.yaml")]
    joined = subprocess.run(command, input=invited.stdout, text=True, capture_output=True, timeout=90, check=False)
    assert joined.returncode == 0, joined.stderr


def fleet(home: Home) -> dict[str, dict[str, Any]]:
    done = trainer_cli(home, "nodes", "--json")
    assert done.returncode == 0, done.stderr
    return {view["id"]: view for view in json.loads(done.stdout)["nodes"]}


@pytest.mark.mosquitto
@pytest.mark.slow
@pytest.mark.timeout(400)
def test_three_nodes_join_are_watched_and_collected_and_one_that_goes_holds_up_no_other(
    broker: Mosquitto, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home", mqtt={"host": "127.0.0.1", "port": broker.port, "prefix": PREFIX})
    nodes = {name: node_in(tmp_path, name, broker) for name in NAMES}
    with serving(home):
        for node in nodes.values():
            join(home, node)
    with ExitStack() as running, Subscriber(broker.port, f"{PREFIX}/#") as anybody:
        for name, node in nodes.items():
            running.enter_context(node)
            wait_until((node.state_dir / "http_address").exists, 120, f"{name}: {node.log}")
            address = (node.state_dir / "http_address").read_text().strip()
            assert trainer_cli(home, "nodes", "address", name, address).returncode == 0
        for name in NAMES:
            topics = NodeTopics(PREFIX, name)
            wait_until(lambda t=topics: b"healthy" in b"".join(anybody.payloads(t.health().name)), 120, "health")
            anybody.say(topics.set_recorder_setting("label").name, b"siren")
            anybody.say(topics.command("record").name, b'{"id": "a", "seconds": 1}')
            wait_until(lambda t=topics: reports(anybody, t)[-1:] == [1], 120, f"a recording of {name}")

        seen = fleet(home)
        assert {name: (view["member"], view["state"]) for name, view in seen.items()} == dict.fromkeys(
            NAMES, (True, "healthy")
        )
        assert [view["recordings"]["waiting"] for view in seen.values()] == [1, 1, 1]
        table = trainer_cli(home, "nodes").stdout
        assert [line.split()[:2] for line in table.splitlines()[1:4]] == [[name, "healthy"] for name in NAMES]

        collected = trainer_cli(home, "collect")
        assert (collected.returncode, collected.stderr) == (0, "")
        assert "here now: 3 siren" in collected.stdout
        for name in NAMES:
            topics = NodeTopics(PREFIX, name)
            wait_until(lambda t=topics: reports(anybody, t)[-1:] == [0], 30, "the report")
            assert "earshot-trainer collect" in (nodes[name].state_dir / "recordings/transfers.jsonl").read_text()

        nodes["hall"].kill()
        wait_until(lambda: anybody.payloads(NodeTopics(PREFIX, "hall").status().name)[-1] == b"offline", 90, "its will")
        assert {name: view["state"] for name, view in fleet(home).items()}["hall"] == "offline"
        again = trainer_cli(home, "collect", "--json")
        assert again.returncode == 3
        problems = {one["node"]: one["problem"] for one in json.loads(again.stdout)["nodes"]}
        assert problems["hall"].startswith("away: ")
        assert (problems["attic"], problems["street"]) == ("", "")


def reports(anybody: Subscriber, topics: NodeTopics) -> list[int]:
    """How many recordings waited, as the node has told it."""
    return [heard.json["waiting"] for heard in anybody.on(topics.recordings().name)]
