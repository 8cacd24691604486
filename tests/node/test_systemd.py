"""The notify protocol, spoken to a real datagram socket."""

import logging
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from earshot_node.systemd import Notifier


class ServiceManager:
    """Listens as systemd does."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._inlet = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._inlet.bind("\0" + address[1:] if address.startswith("@") else address)
        self._inlet.setblocking(False)

    def messages(self) -> list[dict[str, str]]:
        """Everything received since the last call, each datagram as its assignments."""
        received: list[dict[str, str]] = []
        while True:
            try:
                text = self._inlet.recv(4096).decode()
            except BlockingIOError:
                return received
            received.append(dict(line.split("=", 1) for line in text.split("\n")))

    def close(self) -> None:
        self._inlet.close()


class Clock:
    """Monotonic seconds that move when told."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ServiceManager]:
    address = str(tmp_path / "notify") if request.param == "path" else f"@earshot-test-{os.getpid()}"
    listening = ServiceManager(address)
    yield listening
    listening.close()


def test_life_of_a_service_arrives_in_order(manager: ServiceManager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    notifier.ready("hears 1 of 1 sources")
    notifier.status("deaf: microphone is gone")
    notifier.stopping()
    assert manager.messages() == [
        {"READY": "1", "STATUS": "hears 1 of 1 sources"},
        {"STATUS": "deaf: microphone is gone"},
        {"STOPPING": "1"},
    ]


def test_line_breaks_in_a_status_cannot_forge_an_assignment(manager: ServiceManager) -> None:
    Notifier(manager.address).status("bad name\nWATCHDOG=trigger")
    assert manager.messages() == [{"STATUS": "bad name WATCHDOG=trigger"}]


def test_watchdog_is_fed_four_times_in_its_time_however_often_it_is_called(manager: ServiceManager) -> None:
    clock = Clock()
    notifier = Notifier(manager.address, 20.0, clock=clock)
    for _ in range(20 * 25):
        notifier.alive()
        clock.now_s += 0.04
    assert manager.messages() == [{"WATCHDOG": "1"}] * 4


def test_without_watchdog_alive_sends_nothing(manager: ServiceManager) -> None:
    notifier = Notifier.from_environment({"NOTIFY_SOCKET": manager.address})
    notifier.alive()
    assert notifier.watchdog_s is None
    assert manager.messages() == []


@pytest.mark.parametrize(
    ("environ", "expected_s"),
    [
        ({"WATCHDOG_USEC": "20000000"}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": str(os.getpid())}, 20.0),
        ({"WATCHDOG_USEC": "20000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({}, None),
    ],
)
def test_watchdog_time_comes_from_the_environment(environ: dict[str, str], expected_s: float | None) -> None:
    assert Notifier.from_environment({"NOTIFY_SOCKET": "/run/x", **environ}).watchdog_s == expected_s


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:1"}])
def test_outside_systemd_nothing_is_sent(environ: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    notifier = Notifier.from_environment({**environ, "WATCHDOG_USEC": "1000"})
    assert not notifier.enabled
    notifier.ready()
    notifier.alive()
    notifier.stopping()
    assert caplog.records == []


def test_socket_that_went_away_is_logged_once_and_never_raises(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    notifier = Notifier(str(tmp_path / "nobody"))
    with caplog.at_level(logging.WARNING):
        notifier.ready()
        notifier.status("still here")
    assert ["NOTIFY_SOCKET" in record.getMessage() for record in caplog.records] == [True]
