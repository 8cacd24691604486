"""Choosing operating points: all decision settings searched together against the node's own detector.

Recordings must be held out from the training of the model whose posteriors they carry, or the choice is too bold.
"""

import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import OperatingPoint, PresetName, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.tracks import Track, detect

BUDGETS_PER_HOUR: dict[PresetName, float] = {"quiet": 0.0, "balanced": 0.2, "sensitive": 2.0}
"""Most false alarms per hour on long recordings that each preset may give; a budget above none allows at least one."""

RECALL_FLOOR: dict[PresetName, float] = {"quiet": 0.2, "balanced": 0.4, "sensitive": 0.7}
"""A node that hears nothing is of no use: a budget that leaves less recall is exceeded, by as little as helps."""

ENTER = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99)
LEAVE_SHARE = (0.4, 0.6, 0.8)
MIN_LENGTH_S = (0.2, 0.4, 0.6, 0.8, 1.2)
BRIDGING_S = (0.6, 1.2, 2.0)
COOLDOWN_S: dict[PresetName, tuple[float, ...]] = {
    "quiet": (5.0, 10.0),
    "balanced": (3.0, 5.0),
    "sensitive": (1.0, 3.0),
}

CLIP_ALARM_COST = 0.5
SPLIT_COST = 0.05
DELAY_COST_PER_S = 0.03


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a label's points are chosen on.

    Attributes:
        positives: recordings that hold the label.
        negative_clips: short recordings without it, full of foreground sounds.
        long_negatives: long recordings without it; their hours count for the budgets.
    """

    positives: Sequence[Track]
    negative_clips: Sequence[Track]
    long_negatives: Sequence[Track]

    @classmethod
    def of(cls, tracks: Sequence[Track], label: str) -> "Evidence":
        """Sort tracks by what they can show.

        Raises:
            OperatorError: no recording with the label, or no long one without.
        """
        positives = [t for t in tracks if t.is_positive(label)]
        negatives = [t for t in tracks if not t.is_positive(label)]
        long = [t for t in negatives if t.recording.kind == "long"]
        if not positives or not long:
            missing = f"recordings with {label}" if not positives else f"long recordings without {label}"
            raise OperatorError(f"operating points cannot be chosen: no {missing} selected; add --data or --source")
        return cls(positives, [t for t in negatives if t.recording.kind == "clip"], long)


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen point and what it gave on its evidence.

    Attributes:
        recall: share of positives with an event, averaged over recordings (groups), so that none dominates.
        clip_alarms: share of negative clips with an event.
        allowed: false alarms that the budget allows in these hours.
    """

    point: OperatingPoint
    recall: float
    clip_alarms: float
    false_alarms: int
    allowed: int
    hours: float

    @property
    def budget_met(self) -> bool:
        """Whether the point keeps to its budget; False where the recall floor took more."""
        return self.false_alarms <= self.allowed


def choose_operating_points(
    evidence: Mapping[str, Evidence], budgets: Mapping[PresetName, float] = BUDGETS_PER_HOUR
) -> tuple[Presets, dict[str, dict[PresetName, Choice]]]:
    """Return presets, and by label and preset what they gave; the same evidence gives the same presets.

    `balanced` is chosen first; `quiet` is then at least as strict and `sensitive` at most as strict in every setting
    that decides about an onset, so that sensitivity moves in one direction.
    """
    chosen = {label: _choose_label(label, tracks, budgets) for label, tracks in evidence.items()}
    names: tuple[PresetName, ...] = ("quiet", "balanced", "sensitive")
    points = {name: {label: choices[name].point for label, choices in chosen.items()} for name in names}
    return Presets(quiet=points["quiet"], balanced=points["balanced"], sensitive=points["sensitive"]), chosen


def allowed_alarms(per_hour: float, hours: float) -> int:
    """Return how many false alarms a budget allows in so many hours: none for 0, else at least one."""
    return max(1, int(per_hour * hours + 1e-9)) if per_hour > 0 else 0


def _choose_label(label: str, evidence: Evidence, budgets: Mapping[PresetName, float]) -> dict[PresetName, Choice]:
    bench = _Bench(label, evidence)
    balanced = bench.best("balanced", budgets["balanced"], lambda _: True)
    middle = balanced.point
    quiet = bench.best("quiet", budgets["quiet"], lambda p: _is_stricter(p, middle))
    sensitive = bench.best("sensitive", budgets["sensitive"], lambda p: _is_stricter(middle, p))
    return {"quiet": quiet, "balanced": balanced, "sensitive": sensitive}


def _is_stricter(point: OperatingPoint, other: OperatingPoint) -> bool:
    return (
        point.enter >= other.enter
        and point.leave >= other.leave
        and point.min_length_s >= other.min_length_s
        and point.cooldown_s >= other.cooldown_s
    )


class _Bench:
    """Tries points on one label's evidence."""

    def __init__(self, label: str, evidence: Evidence) -> None:
        self._label = label
        self._hop_s = evidence.long_negatives[0].hop_s
        self._positives = [(track.recording.group, track.posteriors) for track in evidence.positives]
        self._clip_count = len(evidence.negative_clips)
        self._hours = sum(track.duration_s for track in evidence.long_negatives) / 3600
        self._clips = _possible(evidence.negative_clips)
        self._long = _possible(evidence.long_negatives)
        self._shortened: dict[float, list[NDArray[np.float32]]] = {}

    def best(self, preset: PresetName, per_hour: float, allowed: Callable[[OperatingPoint], bool]) -> Choice:
        """Return the allowed point with the highest value within the budget, or within what the recall floor takes."""
        points = [point for point in _grid(preset) if allowed(point)]
        if not points:
            raise OperatorError(f"no operating point of the grid suits {preset}; choose with other budgets")
        budget = allowed_alarms(per_hour, self._hours)
        judged = [self._judge(point, budget) for point in points]
        floor = min(RECALL_FLOOR[preset], max(choice.recall for _, choice in judged))
        least = min(choice.false_alarms for _, choice in judged if choice.recall >= floor)
        kept = [(value, choice) for value, choice in judged if choice.false_alarms <= max(budget, least)]
        return max(kept, key=lambda pair: (pair[0], pair[1].point.enter, -pair[1].point.bridging_s))[1]

    def _judge(self, point: OperatingPoint, budget: int) -> tuple[float, Choice]:
        """Return how good a point is on positives and clips, and the choice it would be."""
        by_group: dict[str, list[bool]] = defaultdict(list)
        splits = 0
        for group, posteriors in self._positives:
            events = self._count(posteriors, point)
            by_group[group].append(events > 0)
            splits += max(0, events - 1)
        recall = sum(sum(hits) / len(hits) for hits in by_group.values()) / len(by_group)
        clip_alarms = sum(self._count(clip, point) > 0 for clip in self._clips) / max(1, self._clip_count)
        alarms = sum(self._count(posteriors, point) for posteriors in self._long_for(point.leave))
        value = (
            recall
            - CLIP_ALARM_COST * clip_alarms
            - SPLIT_COST * splits / len(self._positives)
            - DELAY_COST_PER_S * point.min_length_s
        )
        choice = Choice(point, round(recall, 4), round(clip_alarms, 4), alarms, budget, round(self._hours, 4))
        return round(value, 9), choice

    def _count(self, posteriors: NDArray[np.float32], point: OperatingPoint) -> int:
        if posteriors.max(initial=0.0) < point.enter:
            return 0
        return len(detect(posteriors, self._label, point, self._hop_s))

    def _long_for(self, leave: float) -> list[NDArray[np.float32]]:
        """Return the long negatives without what no point with this `leave` can tell."""
        if leave not in self._shortened:
            self._shortened[leave] = [_shorten(posteriors, leave, self._hop_s) for posteriors in self._long]
        return self._shortened[leave]


def _grid(preset: PresetName) -> list[OperatingPoint]:
    combinations = itertools.product(ENTER, LEAVE_SHARE, MIN_LENGTH_S, BRIDGING_S, COOLDOWN_S[preset])
    return [
        OperatingPoint(
            enter=enter, leave=round(enter * share, 4), min_length_s=length, bridging_s=bridging, cooldown_s=cooldown
        )
        for enter, share, length, bridging, cooldown in combinations
    ]


def _possible(tracks: Sequence[Track]) -> list[NDArray[np.float32]]:
    """Return the posteriors of the tracks in which some point of the grid may begin an event."""
    return [track.posteriors for track in tracks if track.score >= min(ENTER)]


def _shorten(posteriors: NDArray[np.float32], leave: float, hop_s: float) -> NDArray[np.float32]:
    """Cut stretches below `leave` to the longest bridging and cooldown together: the detector cannot tell."""
    longest_s = max(BRIDGING_S) + max(itertools.chain.from_iterable(COOLDOWN_S.values()))
    keep_frames = int(longest_s / hop_s) + 2
    is_idle = posteriors < leave
    position = np.arange(len(posteriors))
    last_active = np.maximum.accumulate(np.where(is_idle, -1, position))
    return posteriors[~is_idle | (position - last_active <= keep_frames)]
