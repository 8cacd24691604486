"""Operating points for a candidate that mean the same as the active model's: as many false alarms, on the same sounds.

A fine-tuned network may say everything a little louder or softer. So all thresholds of the active model are moved by
one amount of log-odds: by how much the candidate's loudest wrong opinions lie above the active model's, and then
further as long as the node's detector gives more false alarms with any preset than chance explains: more than the
active model's by the square root of their number.
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
LOUDEST_SHARE: Final = 0.03
FEWEST_WINDOWS: Final = 8
MOST_SHIFT: Final = 3.0
STEP: Final = 0.1
_EDGE: Final = 1e-5


@dataclass(frozen=True, slots=True)
class Shift:
    """How one label's thresholds were moved.

    Attributes:
        measured: difference of the loudest wrong opinions, in log-odds.
        applied: what all thresholds were moved by.
        windows: how many loudest windows of 10 s were compared, of `of_windows`.
        false_alarms: preset -> (active, candidate) on the same negatives.
    """

    label: str
    measured: float
    applied: float
    windows: int
    of_windows: int
    false_alarms: dict[str, tuple[int, int]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def comparable_points(
    active: Sequence[Track], candidate: Sequence[Track], label: str, presets: Presets
) -> tuple[dict[str, OperatingPoint], Shift]:
    """Return the candidate's point of each preset.

    Args:
        active: the active model's tracks of recordings without the label.
        candidate: the candidate's of the same recordings.
        label: which.
        presets: the active model's.

    Raises:
        OperatorError: no recording without the label.
    """
    if not active:
        raise OperatorError(f"thresholds cannot be made comparable: no recording without {label}; check the corpora")
    theirs, ours = (np.sort(_peaks(tracks))[::-1] for tracks in (active, candidate))
    count = min(len(theirs), max(FEWEST_WINDOWS, round(LOUDEST_SHARE * len(theirs))))
    measured = float(np.clip(np.mean(ours[:count] - theirs[:count]), -MOST_SHIFT, MOST_SHIFT))
    allowed = {name: _alarms(active, label, getattr(presets, name)[label]) for name in PRESET_SENSITIVITY}
    applied = measured
    while True:
        points = {str(name): moved(getattr(presets, name)[label], applied) for name in PRESET_SENSITIVITY}
        found = {name: _alarms(candidate, label, points[name]) for name in PRESET_SENSITIVITY}
        if applied >= measured + MOST_SHIFT or all(
            found[name] <= allowed[name] + math.isqrt(allowed[name]) for name in found
        ):
            break
        applied += STEP
    counts = {str(name): (allowed[name], found[name]) for name in PRESET_SENSITIVITY}
    return points, Shift(label, round(measured, 4), round(applied, 4), count, len(theirs), counts)


def moved(point: OperatingPoint, log_odds: float) -> OperatingPoint:
    """Return the point with both thresholds moved by so much, upwards where it is positive."""
    enter, leave = (_sigmoid(_logit(value) + log_odds) for value in (point.enter, point.leave))
    return point.model_copy(update={"enter": round(enter, 5), "leave": round(min(leave, enter), 5)})


def _alarms(tracks: Sequence[Track], label: str, point: OperatingPoint) -> int:
    return sum(len(detect(t.posteriors, label, point, t.hop_s)) for t in tracks if t.score >= point.enter)


def _peaks(tracks: Sequence[Track]) -> NDArray[np.float64]:
    """Return the highest log-odds of every window of every track."""
    peaks = []
    for track in tracks:
        frames = max(1, round(WINDOW_S / track.hop_s))
        parts = np.array_split(track.posteriors, max(1, round(len(track.posteriors) / frames)))
        peaks += [_logit(float(part.max())) for part in parts if len(part)]
    return np.array(peaks)


def _logit(value: float) -> float:
    inside = min(1 - _EDGE, max(_EDGE, value))
    return math.log(inside / (1 - inside))


def _sigmoid(value: float) -> float:
    return min(1 - _EDGE, max(_EDGE, 1 / (1 + math.exp(-value))))
