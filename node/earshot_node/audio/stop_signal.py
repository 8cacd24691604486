"""A stop that wakes both a thread that waits and one that polls file descriptors."""

import os
import threading


class StopSignal:
    """An event with a file descriptor that becomes readable when it is set."""

    def __init__(self) -> None:
        self._event = threading.Event()
        self._reader, self._writer = os.pipe()

    def set(self) -> None:
        """Stop, for ever; setting it again changes nothing."""
        if not self._event.is_set():
            self._event.set()
            os.write(self._writer, b"x")

    def is_set(self) -> bool:
        """Whether to stop."""
        return self._event.is_set()

    def wait(self, timeout_s: float) -> bool:
        """Wait; true when it was set within the time."""
        return self._event.wait(timeout_s)

    def fileno(self) -> int:
        """For `poll`: readable once set."""
        return self._reader

    def close(self) -> None:
        """Give the descriptors back; only after every thread that uses this has ended."""
        for descriptor in (self._reader, self._writer):
            os.close(descriptor)
        self._reader = self._writer = -1
