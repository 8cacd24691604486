"""What the house knows of one source: whether it listens, whether it hears a siren, and how loud it is there."""

from collections import deque
from dataclasses import dataclass, field
from math import inf
from typing import Final

STALE_S: Final = 40.0
"""A node repeats ON every 12 s; one that does not for so long has nothing to say any more."""
LEVELS_S: Final = 16.0
"""What counts for the movement: three levels at five seconds' distance."""
_CLEAR_DB_S: Final = 0.4
_CLEAR_OF_TWO_DB_S: Final = 0.8
_FLAT_DB_S: Final = 0.2
_LEAST_SPAN_S: Final = 4.0

Key = tuple[str, str]
"""Node and source."""


@dataclass(slots=True)
class Microphone:
    """One source of one node; times are the house's own, in seconds that only grow.

    Attributes:
        is_well: its node says that it hears.
        is_on: its node says that a siren sounds.
        on_s: when that began.
        told_s: when it was last said.
        off_s: when it ended.
        levels: level by time, the latest.
        loudest_dbfs: while the siren sounds, or sounded last.
        confidence: of its node's latest event, in percent.
    """

    node: str
    source: str
    name: str
    room: str
    is_well: bool = True
    is_on: bool = False
    on_s: float = -inf
    told_s: float = -inf
    off_s: float = -inf
    levels: deque[tuple[float, float]] = field(default_factory=deque)
    loudest_dbfs: float | None = None
    confidence: int | None = None

    @property
    def key(self) -> Key:
        """Node and source."""
        return (self.node, self.source)

    def turn_on(self, now_s: float) -> None:
        """Its node says ON, for the first time or again."""
        if not self.is_on:
            self.on_s = now_s
            self.loudest_dbfs = None
        self.is_on = True
        self.told_s = now_s

    def turn_off(self, now_s: float) -> None:
        """It does not hear the siren any more."""
        if self.is_on:
            self.off_s = now_s
        self.is_on = False

    def hear_level(self, dbfs: float, now_s: float) -> None:
        """Its level is told, every five seconds."""
        self.levels.append((now_s, dbfs))
        while now_s - self.levels[0][0] > LEVELS_S:
            self.levels.popleft()
        if self.is_on:
            self.loudest_dbfs = dbfs if self.loudest_dbfs is None else max(dbfs, self.loudest_dbfs)

    def slope_db_s(self, now_s: float) -> tuple[float, bool] | None:
        """Return how its level goes, in dB a second, and whether that is clear; None if nothing can be told."""
        points = [(at, dbfs) for at, dbfs in self.levels if now_s - at <= LEVELS_S and at >= self.on_s - 1.0]
        if len(points) < 2 or points[-1][0] - points[0][0] < _LEAST_SPAN_S:
            return None
        mean_s = sum(at for at, _ in points) / len(points)
        mean_db = sum(dbfs for _, dbfs in points) / len(points)
        spread = sum((at - mean_s) ** 2 for at, _ in points)
        slope = sum((at - mean_s) * (dbfs - mean_db) for at, dbfs in points) / spread
        clear = _CLEAR_OF_TWO_DB_S if len(points) == 2 else _CLEAR_DB_S
        return slope, abs(slope) >= clear


def is_flat(slope_db_s: float) -> bool:
    """Return whether a level that goes so is taken as steady."""
    return abs(slope_db_s) < _FLAT_DB_S
