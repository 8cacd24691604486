"""Time as the audio threads see it."""

import time
from typing import Protocol


class Clock(Protocol):
    """Wall and monotonic time in seconds."""

    def wall(self) -> float:
        """Unix time."""
        ...

    def monotonic(self) -> float:
        """Time that never jumps; only differences mean something."""
        ...


class SystemClock:
    """The machine's clocks."""

    def wall(self) -> float:
        """Unix time."""
        return time.time()

    def monotonic(self) -> float:
        """`time.monotonic()`."""
        return time.monotonic()
