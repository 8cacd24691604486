"""Tell the service manager how the node is: the protocol of sd_notify(3), datagrams to NOTIFY_SOCKET."""

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final, Self

_LOG = logging.getLogger(__name__)

FEEDS_PER_WATCHDOG_TIME: Final = 4


class Notifier:
    """Sends states to systemd; without a NOTIFY_SOCKET every call does nothing.

    Any thread may call any method. A message that cannot be sent is logged once and never raises: a node that hears
    must not stop because systemd does not listen.
    """

    def __init__(
        self,
        address: str,
        watchdog_s: float | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Take where to send and how soon the watchdog bites.

        Args:
            address: path of a datagram socket, `@name` in the abstract namespace, or "" for none.
            watchdog_s: time after which systemd restarts a silent service; None without a watchdog.
            clock: monotonic seconds.
        """
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = watchdog_s
        self._clock = clock
        self._lock = threading.Lock()
        self._fed_at: float | None = None
        self._failure_logged = False

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Self:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID as systemd sets them."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address.startswith(("/", "@")):
            address = ""
        return cls(address, _watchdog_s(environ))

    @property
    def enabled(self) -> bool:
        """Whether somebody listens."""
        return bool(self._address)

    @property
    def watchdog_s(self) -> float | None:
        """How long `alive` may stay away; None without a watchdog."""
        return self._watchdog_s if self.enabled else None

    def ready(self, status: str = "") -> None:
        """Say that the start is complete; `status` is one line for `systemctl status`."""
        self._send("READY=1", *_status_line(status))

    def status(self, text: str) -> None:
        """Show one line in `systemctl status`."""
        self._send(*_status_line(text))

    def alive(self) -> None:
        """Feed the watchdog. Cheap enough for every inference: most calls send nothing."""
        if self.watchdog_s is None:
            return
        now = self._clock()
        with self._lock:
            if self._fed_at is not None and now - self._fed_at < self.watchdog_s / FEEDS_PER_WATCHDOG_TIME:
                return
            self._fed_at = now
        self._send("WATCHDOG=1")

    def stopping(self, status: str = "") -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1", *_status_line(status))

    def _send(self, *assignments: str) -> None:
        if not self.enabled or not assignments:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as outlet:
                outlet.setblocking(False)
                outlet.sendto("\n".join(assignments).encode(), self._address)
        except OSError as error:
            if not self._failure_logged:
                self._failure_logged = True
                _LOG.warning("systemd does not take notifications (%s); check NOTIFY_SOCKET", error)


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """Return the watchdog's time in seconds if it is meant for this process."""
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    except ValueError:
        return None
    return microseconds / 1e6 if microseconds > 0 else None


def _status_line(text: str) -> tuple[str, ...]:
    line = " ".join(text.split())
    return (f"STATUS={line}",) if line else ()
