"""Node and broker are killed with SIGKILL in the middle of a stream of events; a subscriber counts."""

import os
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import pytest
from support.mosquitto import Mosquitto
from support.mqtt_subscriber import Heard, Subscriber
from support.waiting import wait_until

TESTS = Path(__file__).resolve().parents[2]
FILTERS = [f"earshot/stream/source/+/siren/{phase}" for phase in ("onset", "late")]

pytestmark = [pytest.mark.mosquitto, pytest.mark.slow]


@pytest.fixture
def mortal_broker(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker that keeps nothing back for a slow subscriber: what it has acknowledged, it has written to its socket.

    By default it holds all but 20 unacknowledged messages in memory, and those die with it.
    """
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(folder, persistent=True, extra="max_inflight_messages 0\nmax_queued_messages 0") as running:
        yield running


class Stream:
    """The publishing process; what it committed, as far as it could say before it died."""

    def __init__(self, folder: Path, broker: Mosquitto) -> None:
        self.committed: list[int] = []
        self._command = [
            sys.executable,
            str(TESTS / "support" / "event_stream.py"),
            str(folder / "state"),
            str(broker.port),
        ]
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def start(self) -> None:
        # The number in between may have been committed without being said; it is not used again.
        first = self.committed[-1] + 2 if self.committed else 0
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        self._process = subprocess.Popen(
            [*self._command, str(first)], stdout=subprocess.PIPE, text=True, env=environment
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    def kill(self) -> None:
        assert self._process is not None
        assert self._reader is not None
        assert self._process.poll() is None, "the stream ended by itself"
        self._process.kill()
        self._process.wait(10)
        self._reader.join(10)

    def go_on(self, count: int) -> None:
        """Return after `count` further commits."""
        goal = len(self.committed) + count
        wait_until(lambda: len(self.committed) >= goal, timeout_s=30, what=f"{count} further commits")

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.endswith("\n"):
                    self.committed.append(int(line))


def numbers(messages: list[Heard], source: str) -> list[int]:
    return [int(m.json["id"].rpartition("-")[2]) for m in messages if m.json["source"] == source]


def assert_all_arrived_in_order(stream: Stream, messages: list[Heard]) -> None:
    """Every committed event at least once, first arrivals of each source in order, repeats with the same id."""
    for rest, source in enumerate(("street", "yard")):
        arrived = numbers(messages, source)
        first_arrivals = list(dict.fromkeys(arrived))
        wanted = {number for number in stream.committed if number % 2 == rest}
        assert len(wanted) > 50
        assert wanted - set(arrived) == set(), "lost"
        assert first_arrivals == sorted(first_arrivals), "out of order"


def finish(stream: Stream, subscriber: Subscriber) -> None:
    """Let a last process empty the queue."""
    stream.start()
    stream.go_on(20)
    goal = sorted(stream.committed)
    wait_until(
        lambda: set(goal) <= {int(m.json["id"].rpartition("-")[2]) for m in list(subscriber.messages)},
        timeout_s=20,
        what="the arrival of every event",
    )
    stream.kill()
    stream.committed = goal


def test_every_committed_event_arrives_when_the_node_is_killed(mortal_broker: Mosquitto, tmp_path: Path) -> None:
    with Stream(tmp_path, mortal_broker) as stream, Subscriber(mortal_broker.port, *FILTERS) as subscriber:
        for _ in range(5):
            stream.start()
            stream.go_on(random.randint(10, 60))
            stream.kill()
        finish(stream, subscriber)
        assert_all_arrived_in_order(stream, list(subscriber.messages))


def test_every_committed_event_arrives_when_the_broker_is_killed(mortal_broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Stream(tmp_path, mortal_broker) as stream,
        Subscriber(mortal_broker.port, *FILTERS, lasting=True) as subscriber,
    ):
        wait_until(
            lambda: (mortal_broker.folder / "mosquitto.db").exists(), what="the broker's copy of the subscription"
        )
        stream.start()
        for _ in range(4):
            stream.go_on(random.randint(20, 80))
            mortal_broker.kill()
            stream.go_on(random.randint(1, 80))
            mortal_broker.start()
            assert subscriber.subscribed.wait(20)
        stream.go_on(20)
        stream.kill()
        finish(stream, subscriber)
        assert_all_arrived_in_order(stream, list(subscriber.messages))


def test_every_committed_event_arrives_when_both_are_killed(mortal_broker: Mosquitto, tmp_path: Path) -> None:
    with (
        Stream(tmp_path, mortal_broker) as stream,
        Subscriber(mortal_broker.port, *FILTERS, lasting=True) as subscriber,
    ):
        wait_until(
            lambda: (mortal_broker.folder / "mosquitto.db").exists(), what="the broker's copy of the subscription"
        )
        for _ in range(3):
            stream.start()
            stream.go_on(random.randint(20, 60))
            mortal_broker.kill()
            stream.go_on(random.randint(1, 40))
            stream.kill()
            mortal_broker.start()
            assert subscriber.subscribed.wait(20)
        finish(stream, subscriber)
        assert_all_arrived_in_order(stream, list(subscriber.messages))
