"""Operating points for a candidate that mean the same as the active model's: as many false alarms, on the same sounds.

A fine-tuned network may say everything a little louder or softer. So all thresholds of the active model are moved by
one amount of log-odds: by how much louder the candidate is than the active model in the windows where the two are
loudest, less what differs from recording to recording by chance. Then those of each preset are raised for as long as
the node's detector gives more false alarms with it than chance explains: more than the active model's by the square
root of their number, and by more than one, as the gate counts.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.tracks import Track, detect

WINDOW_S: Final = 10.0
LOUDEST_SHARE: Final = 0.1
FEWEST_WINDOWS: Final = 8
MOST_SHIFT: Final = 3.0
STEP: Final = 0.02
_EDGE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Shift:
    """How one label's thresholds were moved.

    Attributes:
        measured: by how much louder the candidate is in loud windows, in log-odds.
        chance: standard error of that over original recordings.
        applied: preset -> what its thresholds were moved by.
        windows: how many loudest windows of 10 s were compared, of `of_windows`.
        false_alarms: preset -> (active, candidate) on the same negatives.
    """

    label: str
    measured: float
    chance: float
    applied: dict[str, float]
    windows: int
    of_windows: int
    false_alarms: dict[str, tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class LoudWindows:
    """The same windows as two models heard them: float64[n] log-odds, and the original recording of each."""

    active: NDArray[np.float64]
    candidate: NDArray[np.float64]
    groups: NDArray[np.int64]
    of_windows: int

    def shift(self) -> tuple[float, float]:
        """Return by how much louder the candidate is, and the standard error of that over original recordings."""
        differences = self.candidate - self.active
        mean = float(differences.mean())
        _, member = np.unique(self.groups, return_inverse=True)
        if member.max() == 0:
            return mean, abs(mean)
        by_recording = np.bincount(member, weights=differences - mean)
        return mean, float(np.sqrt(np.square(by_recording).sum())) / len(differences)


def comparable_points(
    active: Sequence[Track], candidate: Sequence[Track], label: str, presets: Presets
) -> tuple[dict[str, OperatingPoint], Shift]:
    """Return the candidate's point of each preset.

    Args:
        active: the active model's tracks of recordings without the label.
        candidate: the candidate's of the same recordings, in the same order.
        label: which.
        presets: the active model's.

    Raises:
        OperatorError: no recording without the label.
    """
    if not active:
        raise OperatorError(f"thresholds cannot be made comparable: no recording without {label}; check the corpora")
    windows = loud_windows(active, candidate)
    measured, chance = windows.shift()
    least = beyond_chance(measured, chance)
    points: dict[str, OperatingPoint] = {}
    applied: dict[str, float] = {}
    counts: dict[str, tuple[int, int]] = {}
    before: str | None = None
    for name in sorted(PRESET_SENSITIVITY, key=lambda one: -PRESET_SENSITIVITY[one]):
        point = getattr(presets, name)[label]
        stricter = before is not None and point.enter >= getattr(presets, before)[label].enter
        floor = points[before] if before is not None and stricter else None
        allowed = _alarms(active, label, point)
        points[name], applied[name], found = _raised(candidate, label, point, least, allowed, floor)
        counts[name] = (allowed, found)
        before = name
    return points, Shift(
        label=label,
        measured=round(measured, 4),
        chance=round(chance, 4),
        applied=applied,
        windows=len(windows.active),
        of_windows=windows.of_windows,
        false_alarms=counts,
    )


def _raised(
    candidate: Sequence[Track],
    label: str,
    point: OperatingPoint,
    least: float,
    allowed: int,
    floor: OperatingPoint | None,
) -> tuple[OperatingPoint, float, int]:
    """Return the point moved by `least` and on, until it is at `floor` and alarms no more than chance explains.

    With it, by how much it was moved, and its false alarms.
    """
    shift = least
    while True:
        there = moved(point, shift)
        if floor is not None:
            there = there.model_copy(update={"certain": max(there.certain, floor.certain)})
        found = _alarms(candidate, label, there)
        few = found <= allowed + max(1, math.isqrt(allowed))
        if (few and (floor is None or there.enter >= floor.enter)) or shift >= least + MOST_SHIFT:
            return there, round(shift, 4), found
        shift += STEP


def loud_windows(active: Sequence[Track], candidate: Sequence[Track]) -> LoudWindows:
    """Return the loudest windows by the mean of both opinions, so that neither model's chance peaks choose them."""
    theirs, ours = _peaks(active), _peaks(candidate)
    _, group_of_track = np.unique([track.recording.group for track in active], return_inverse=True)
    groups = np.repeat(group_of_track, [_window_count(track) for track in active])
    count = min(len(theirs), max(FEWEST_WINDOWS, round(LOUDEST_SHARE * len(theirs))))
    loud = np.argsort(-(theirs + ours), kind="stable")[:count]
    return LoudWindows(theirs[loud], ours[loud], groups[loud], len(theirs))


def beyond_chance(measured: float, error: float) -> float:
    """Return the part of a shift that chance does not explain."""
    return math.copysign(min(MOST_SHIFT, max(0.0, abs(measured) - error)), measured) + 0.0  # no -0.0


def moved(point: OperatingPoint, log_odds: float) -> OperatingPoint:
    """Return the point with its thresholds moved by so much, upwards where it is positive; certainty of 1 stays."""

    def there(level: float) -> float:
        return round(_sigmoid(_logit(level) + log_odds), 5)

    certain = there(point.certain) if point.certain < 1 else point.certain
    return point.model_copy(update={"enter": there(point.enter), "leave": there(point.leave), "certain": certain})


def _alarms(tracks: Sequence[Track], label: str, point: OperatingPoint) -> int:
    return sum(len(detect(t.posteriors, label, point, t.hop_s)) for t in tracks if t.score >= point.enter)


def _peaks(tracks: Sequence[Track]) -> NDArray[np.float64]:
    """Return the highest log-odds of every window of every track."""
    peaks = []
    for track in tracks:
        parts = np.array_split(track.posteriors, _window_count(track))
        peaks += [_logit(float(part.max(initial=0.0))) for part in parts]
    return np.array(peaks)


def _window_count(track: Track) -> int:
    return max(1, round(len(track.posteriors) * track.hop_s / WINDOW_S))


def _logit(value: float) -> float:
    inside = min(1 - _EDGE, max(_EDGE, value))
    return math.log(inside / (1 - inside))


def _sigmoid(value: float) -> float:
    return min(1 - _EDGE, max(_EDGE, 1 / (1 + math.exp(-value))))
