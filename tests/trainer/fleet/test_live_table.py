"""`trainer-cli nodes --watch` shows what changes until it is interrupted."""

import json
import os
import signal
from pathlib import Path

import pytest
from support.household import Household
from support.label_terminal import read_until, trainer_terminal
from support.mosquitto import Mosquitto
from support.trainer_home import trainer_cli

pytestmark = [pytest.mark.mosquitto, pytest.mark.timeout(400)]


@pytest.fixture
def household(tmp_path: Path, broker: Mosquitto) -> Household:
    return Household(tmp_path, broker)


def read_to_the_end(terminal: int) -> str:
    """What the terminal shows until its program has ended."""
    seen = b""
    while True:
        try:
            seen += os.read(terminal, 65_536)
        except OSError:
            return seen.decode(errors="replace")


def test_terminal_shows_a_node_that_comes_learns_and_goes(household: Household) -> None:
    with trainer_terminal(household.home, "nodes", "--watch") as (terminal, process):
        first = read_until(terminal, "street", 120)
        assert "never seen" in first
        with household.node("hall", version="2026.11.0") as hall:
            read_until(terminal, "healthy")
            hall.tell_health(state="deaf", problems=("street: silent",))
            read_until(terminal, "hall: street: silent")
            hall.tell_result("refused", "not signed")
            read_until(terminal, "hall: model 2026.11.0 refused: not signed")
        read_until(terminal, "offline")
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        rest = read_to_the_end(terminal)
        assert process.wait(30) == 130
    assert "Traceback" not in rest


def test_without_a_terminal_it_looks_once(household: Household) -> None:
    with household.node("hall"):
        done = trainer_cli(household.home, "nodes", "--watch", timeout_s=120)
        plain = trainer_cli(household.home, "nodes", "--watch", "--json", timeout_s=120)
    assert (done.returncode, plain.returncode) == (0, 0)
    assert [line.split()[:2] for line in done.stdout.splitlines()[1:3]] == [["attic", "never"], ["hall", "healthy"]]
    assert {one["id"]: one["state"] for one in json.loads(plain.stdout)["nodes"]}["hall"] == "healthy"
