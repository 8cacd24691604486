"""Three node processes, a broker, a trainer: canary, one node away, bundles refused with a reason, rollback."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.bundles import BUNDLED_VERSION
from support.deploying import hearing_noise, join, listening_node, release_file
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import retained
from support.trainer_home import make_home, serving, trainer_cli
from support.waiting import wait_until

NAMES = ("attic", "hall", "street")
PREFIX = "deploying"


def running(broker: Mosquitto) -> dict[str, str]:
    """Which version each node that is there decides with, as it says."""
    told = retained(broker.port, f"{PREFIX}/+/info", f"{PREFIX}/+/status")
    there = [topic.split("/")[1] for topic, payload in told.items() if payload == b"online"]
    return {name: json.loads(told[f"{PREFIX}/{name}/info"])["model"]["version"] for name in there}


def states(done: Any) -> dict[str, str]:
    return {one["node"]: one["state"] for one in json.loads(done.stdout)["nodes"]}


@pytest.mark.mosquitto
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_fleet_gets_a_model_canary_first_refuses_bad_ones_and_goes_back(broker: Mosquitto, tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", mqtt={"host": "127.0.0.1", "port": broker.port, "prefix": PREFIX})
    nodes = {name: listening_node(tmp_path, name, broker, PREFIX) for name in NAMES}
    with ExitStack() as stack:
        for name in ("attic", "hall"):
            stack.enter_context(hearing_noise(nodes[name]))
        wait_until(lambda: len(running(broker)) == 2, 240, "two nodes at the broker")
        with serving(home):
            for node in nodes.values():
                join(home, node)  # those that run take it up by themselves

        # A canary first; the deploy serves the bundle itself; the street is away.
        good = release_file(home, tmp_path, "2099.1.0")
        deploy = ("deploy", str(good), "--canary", "hall", "--watch", "3s", "--trial", "600s", "--json")
        done = trainer_cli(home, *deploy, timeout_s=500)
        assert done.returncode == 3, done.stdout + done.stderr
        assert states(done) == {"attic": "installed", "hall": "installed", "street": "away"}

        # It gets its own when it is back and a trainer serves.
        with serving(home):
            stack.enter_context(hearing_noise(nodes["street"]))
            wait_until(lambda: running(broker).get("street") == "2099.1.0", 400, f"the street: {nodes['street'].log}")
        assert running(broker) == dict.fromkeys(NAMES, "2099.1.0")

        # One that the nodes cannot take: it hears something else.
        bad = release_file(home, tmp_path, "2099.2.0", edit=lambda manifest: manifest.update(hop_samples=320))
        refused = trainer_cli(home, "deploy", str(bad), timeout_s=500)
        assert refused.returncode == 1, refused.stdout + refused.stderr
        for name in NAMES:
            assert f"{name}: refused: 2099.2.0: decides every 320 samples" in refused.stdout
        table = trainer_cli(home, "releases", timeout_s=400).stdout
        assert "hall: 2099.2.0 refused: 2099.2.0: decides every 320 samples" in table

        # A canary that refuses keeps it from the others.
        worse = release_file(home, tmp_path, "2099.3.0", edit=lambda manifest: manifest.update(hop_samples=320))
        stopped = trainer_cli(home, "deploy", str(worse), "--canary", "attic", "--json", timeout_s=500)
        assert stopped.returncode == 1
        assert states(stopped) == {"attic": "refused", "hall": "stopped", "street": "stopped"}
        assert "decides every 320 samples" in json.loads(stopped.stdout)["stopped"]

        # Back, on one node and then on all; the second time one has gone forward again.
        back = trainer_cli(home, "rollback", "--to", "hall", "--json", timeout_s=400)
        assert (back.returncode, states(back)) == (0, {"hall": "rolled_back"}), back.stdout + back.stderr
        wait_until(lambda: running(broker)["hall"] == BUNDLED_VERSION, 30, "the hall's model")
        nodes["street"].kill()
        wait_until(lambda: "street" not in running(broker), 90, "the street's will")
        back = trainer_cli(home, "rollback", "--to", "attic", "--to", "street", "--json", timeout_s=400)
        assert (back.returncode, states(back)) == (3, {"attic": "rolled_back", "street": "away"})
