"""Waits for PCM on a pipe while watching the clock, the child's standard error and the stop signal, in one thread."""

import math
import os
import select
from collections.abc import Callable
from dataclasses import dataclass

from earshot_node.audio.clock import Clock
from earshot_node.audio.microphone_child import OVERFLOW
from earshot_node.audio.stop_signal import StopSignal
from earshot_node.errors import SourceError

_STDERR_BYTES = 4096
_MAX_READ_BYTES = 65_536


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a live source may give nothing.

    Attributes:
        opening_s: until its first audio, before it counts as stalled.
        stall_s: between audio and audio, before it counts as stalled.
        give_up_s: after that, before it is closed and opened again.
        burst_s: how far a stream may be ahead of real time (what a server had buffered) before it is slowed down; less
            than the queue holds.
    """

    opening_s: float = 10.0
    stall_s: float = 5.0
    give_up_s: float = 10.0
    burst_s: float = 2.0


class StalledError(SourceError):
    """The source is open but gave no audio for too long."""


class StderrTail:
    """The last lines that a child wrote to its standard error, bounded."""

    def __init__(self, limit_bytes: int = _STDERR_BYTES) -> None:
        self._limit_bytes = limit_bytes
        self._tail = b""

    def push(self, data: bytes) -> None:
        """Take more."""
        self._tail = (self._tail + data)[-self._limit_bytes :]

    def lines(self) -> list[str]:
        """Lines with something in them, oldest first."""
        return [line.strip() for line in self._tail.decode(errors="replace").splitlines() if line.strip()]


class PipeReader:
    """Reads one opening's PCM descriptor.

    Args:
        pcm_fd: where the PCM comes.
        stderr_fd: the child's standard error, non-blocking; None when there is no child.
        stop: ends reading.
        patience: when nothing counts as stalled.
        silent_problem: one line for a person about a stall.
        on_stall: called with it once a stall begins, and again and again while it lasts.
        clock: time.
    """

    def __init__(
        self,
        pcm_fd: int,
        stderr_fd: int | None,
        *,
        stop: StopSignal,
        patience: Patience,
        silent_problem: str,
        on_stall: Callable[[str], None],
        clock: Clock,
    ) -> None:
        self.read_bytes = _MAX_READ_BYTES
        self._pcm_fd = pcm_fd
        self._stderr_fd = stderr_fd
        self._stop = stop
        self._patience = patience
        self._silent_problem = silent_problem
        self._on_stall = on_stall
        self._clock = clock
        self._stderr = StderrTail()
        self._overflowed = False
        self._limit_s = patience.opening_s
        self._progress_s = clock.monotonic()
        self._poll = select.poll()
        if stderr_fd is not None:
            self._poll.register(stderr_fd, select.POLLIN)  # first: a loss is told before the audio that follows it
        self._poll.register(pcm_fd, select.POLLIN)
        self._poll.register(stop.fileno(), select.POLLIN)

    def read(self) -> bytes:
        """Return the next bytes, at most `read_bytes`; empty at the end and when the node stops.

        Raises:
            StalledError: nothing came for so long that opening again is the better bet.
        """
        while True:
            ready = self._poll.poll(self._timeout_ms())
            if self._stop.is_set():
                return b""
            for descriptor, _ in ready:
                if descriptor == self._stderr_fd:
                    self._take_stderr()
                else:
                    return self._take_pcm()

    def restart_patience(self) -> None:
        """The reader itself was away; what it did not read is no stall."""
        self._progress_s = self._clock.monotonic()

    def take_overflow(self) -> bool:
        """Whether the microphone child lost audio since the last call."""
        overflowed, self._overflowed = self._overflowed, False
        return overflowed

    def last_words(self) -> list[str]:
        """Return the child's last lines on standard error, after the end of its PCM."""
        while self._stderr_fd is not None and self._take_stderr():
            pass
        return self._stderr.lines()

    def _timeout_ms(self) -> float:
        quiet_s = self._clock.monotonic() - self._progress_s
        if quiet_s < self._limit_s:
            return math.ceil((self._limit_s - quiet_s) * 1000)
        left_s = self._limit_s + self._patience.give_up_s - quiet_s
        if left_s <= 0:
            raise StalledError(self._silent_problem)
        self._on_stall(self._silent_problem)
        return math.ceil(min(left_s, 3600.0) * 1000)

    def _take_pcm(self) -> bytes:
        data = os.read(self._pcm_fd, self.read_bytes)
        self._progress_s = self._clock.monotonic()
        self._limit_s = self._patience.stall_s
        return data

    def _take_stderr(self) -> bool:
        """Read some of it; false at its end and when there is no more for now."""
        assert self._stderr_fd is not None
        try:
            data = os.read(self._stderr_fd, _STDERR_BYTES)
        except BlockingIOError:
            return False
        if not data:
            self._poll.unregister(self._stderr_fd)
            self._stderr_fd = None
        self._stderr.push(data)
        self._overflowed |= OVERFLOW.encode() in data
        return bool(data)
