"""How much was kept unasked today, whatever became of it since."""

import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from earshot_node.atomic_file import write_atomically
from earshot_node.contract.recordings import RecordingInfo

_log = logging.getLogger(__name__)

COUNT_NAME: Final = ".kept_today"


@dataclass(frozen=True, slots=True)
class Unasked:
    """How it stands with what is kept unasked.

    Attributes:
        kept_s: audio kept today (UTC).
        per_day_s: the day's budget.
        kept: what was kept just now, None if nothing was.
        problem: what went wrong just now, one line; '' if nothing did.
    """

    kept_s: float
    per_day_s: float
    kept: RecordingInfo | None = None
    problem: str = ""

    @property
    def left_s(self) -> float:
        """What is left of the day's budget."""
        return max(0.0, self.per_day_s - self.kept_s)


class DayCount:
    """Seconds kept on one day; survives a restart. Blocks on the disk.

    Args:
        folder: of the recordings; exists once something was kept.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / COUNT_NAME
        self._day = ""
        self._kept_s = 0.0

    def kept_s(self, day: str, stored_s: float) -> float:
        """Return how much was kept on `day`; at least `stored_s`, which is all there is to go by without a count."""
        if self._day != day:
            self._day, self._kept_s = day, self._read(day)
        self._kept_s = max(self._kept_s, stored_s)
        return self._kept_s

    def add(self, seconds: float) -> None:
        """Count more on the day that was asked for last; where the disk refuses, for as long as this process runs."""
        self._kept_s = round(self._kept_s + seconds, 4)
        try:
            write_atomically(self._path, json.dumps({"day": self._day, "kept_s": self._kept_s}).encode())
        except OSError as error:
            _log.warning(
                "recordings: %s: %s; what leaves the node today is not counted beyond the next start",
                self._path,
                error.strerror,
            )

    def _read(self, day: str) -> float:
        try:
            counted: Any = json.loads(self._path.read_bytes())
            kept_s = float(counted["kept_s"])
            return kept_s if counted["day"] == day and math.isfinite(kept_s) else 0.0
        except (OSError, ValueError, KeyError, TypeError):
            return 0.0
