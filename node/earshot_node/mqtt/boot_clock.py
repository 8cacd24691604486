"""A clock that tells how old something on disk is, whatever the wall clock did meanwhile.

A Raspberry Pi has no battery clock: after a power cut it starts with an old time and jumps later. So moments on disk
are kept as seconds since boot together with the boot they belong to.
"""

import math
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True, slots=True)
class Moment:
    """A point in time of one boot; `at_s` are seconds since then, with time asleep counted."""

    boot: str
    at_s: float


class BootClock:
    """Seconds since boot, which every process of the same boot agrees on."""

    def __init__(self, boot: str | None = None) -> None:
        self._boot = boot or _boot_id()

    def now(self, age_s: float = 0.0) -> Moment:
        """Return the moment `age_s` ago."""
        return Moment(self._boot, _since_boot_s() - age_s)

    def age_s(self, moment: Moment) -> float:
        """Return how long ago `moment` was; infinite if the machine has booted since."""
        if moment.boot != self._boot:
            return math.inf
        return max(0.0, _since_boot_s() - moment.at_s)


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:  # not Linux: whatever an earlier process left behind counts as old
        return uuid.uuid4().hex


def _since_boot_s() -> float:
    if hasattr(time, "CLOCK_BOOTTIME"):
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()
