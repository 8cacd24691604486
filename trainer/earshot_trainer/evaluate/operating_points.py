"""Choosing operating points: hysteresis, certainty, minimum length and bridging searched together.

Recordings must be held out from the training of the model whose posteriors they carry, or the choice is too bold.
"""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earshot_node.contract.operating_point import OperatingPoint, PresetName, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.event_counts import (
    Flags,
    Floats,
    FoundEvents,
    Integers,
    JoinedTracks,
    find_events,
)
from earshot_trainer.evaluate.false_alarms import poisson_interval
from earshot_trainer.evaluate.tracks import Track

BUDGETS_PER_HOUR: dict[PresetName, float] = {"quiet": 0.0, "balanced": 0.2, "sensitive": 2.0}
"""Most false alarms per hour on long recordings that each preset may give; a budget above none allows at least one."""

RECALL_FLOOR: dict[PresetName, float] = {"quiet": 0.2, "balanced": 0.55, "sensitive": 0.7}
"""A node that hears nothing is of no use: a budget that leaves less recall is exceeded, by as little as helps."""

LEVELS = tuple(round(1 / (1 + math.exp(-0.175 * step)), 4) for step in range(-20, 41))
"""Thresholds in even steps of log-odds, 0.03 to 0.999."""
HYSTERESIS_STEPS = (2, 4, 8, 12, 18)
CERTAIN_MARGIN = 0.35
"""Log-odds by which a level at which one frame decides clears what long negatives reach (trainer/EXPERIMENTS.md,
2026-11-30)."""
MIN_LENGTH_S = (0.12, 0.2, 0.32, 0.48, 0.6, 0.8, 1.0, 1.2, 1.6, 2.0, 2.4)
BRIDGING_S = (0.4, 0.8, 1.2, 2.0)
COOLDOWN_S: dict[PresetName, float] = {"quiet": 10.0, "balanced": 5.0, "sensitive": 3.0}

STRICTER_WHEN_HIGHER = ("enter", "leave", "certain", "min_length_s")
"""Settings that decide about an onset."""

GIVEN_WAY = 0.03
"""Value that `balanced` may lose so that the other presets have points beside it."""

CLIP_ALARM_COST = 0.5
SPLIT_COST = 0.05
LENGTH_COST_PER_S = 0.03
"""Of the minimum length, whatever is certain sooner: with delays as they are, long ones look better than they turn out
to be on other recordings (trainer/EXPERIMENTS.md, 2026-11-30)."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a label's points are chosen on.

    Attributes:
        positives: recordings that hold the label.
        negative_clips: short recordings without it, full of foreground sounds.
        long_negatives: long recordings without it; their hours count for the budgets.
        events: of the label, in soundscapes; where there are some, recall is the mean over them and over positives. One
            of the two may be empty.
    """

    positives: Sequence[Track]
    negative_clips: Sequence[Track]
    long_negatives: Sequence[Track]
    events: Sequence[Track] = ()

    @classmethod
    def of(cls, tracks: Sequence[Track], label: str, events: Sequence[Track] = ()) -> "Evidence":
        """Sort tracks by what they can show.

        Raises:
            OperatorError: no recording with the label and no event, or no long one without.
        """
        positives = [t for t in tracks if t.is_positive(label)]
        negatives = [t for t in tracks if not t.is_positive(label)]
        long = [t for t in negatives if t.recording.kind == "long"]
        if not (positives or events) or not long:
            missing = f"recordings with {label}" if not (positives or events) else f"long recordings without {label}"
            raise OperatorError(f"operating points cannot be chosen: no {missing} selected; add --data or --source")
        return cls(positives, [t for t in negatives if t.recording.kind == "clip"], long, events)

    @property
    def hours(self) -> float:
        """Length of the long negatives."""
        return sum(track.duration_s for track in self.long_negatives) / 3600


@dataclass(frozen=True, slots=True)
class Choice:
    """A chosen point and what the node's detector gives with it on the evidence.

    Attributes:
        recall: share of positives with an event, averaged over recordings (groups), so that none dominates; of the
            events in soundscapes where there are no positives.
        event_recall: the same of the events in soundscapes; None without any.
        clip_alarms: share of negative clips with an event.
        false_alarms: on the long negatives; `allowed` is what the budget allows in these hours.
    """

    point: OperatingPoint
    recall: float
    event_recall: float | None
    clip_alarms: float
    false_alarms: int
    allowed: int
    hours: float

    @property
    def budget_met(self) -> bool:
        """Whether the point keeps to its budget; False where the recall floor took more."""
        return self.false_alarms <= self.allowed

    @property
    def per_hour(self) -> float:
        """False alarms per hour of long negatives."""
        return self.false_alarms / self.hours

    @property
    def per_hour_interval(self) -> tuple[float, float]:
        """Its exact Poisson interval, 95 %."""
        low, high = poisson_interval(self.false_alarms)
        return low / self.hours, high / self.hours


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A point of the grid, with its figures before any cooldown."""

    point: OperatingPoint
    value: float
    recall: float
    false_alarms: int


@dataclass(frozen=True, slots=True)
class _Grid:
    """Candidates, the one of highest value first, and their figures in the same order.

    Attributes:
        strictness: float64[candidates, `STRICTER_WHEN_HIGHER`].
    """

    candidates: Sequence[_Candidate]
    strictness: Floats
    value: Floats
    recall: Floats
    false_alarms: Integers

    @classmethod
    def of(cls, candidates: Iterable[_Candidate]) -> "_Grid":
        """Order the candidates; of equal ones those with fewer alarms, then the stricter ones come first.

        Certainty is the exception: a lower level that costs nothing tells sooner.
        """

        def rank(c: _Candidate) -> tuple[float, ...]:
            point = c.point
            stricter = (point.enter, point.leave, point.min_length_s, -point.bridging_s)
            return (c.value, -c.false_alarms, *stricter, -point.certain)

        ordered = sorted(candidates, key=rank, reverse=True)
        return cls(
            ordered,
            np.array([[getattr(c.point, name) for name in STRICTER_WHEN_HIGHER] for c in ordered]),
            np.array([c.value for c in ordered]),
            np.array([c.recall for c in ordered]),
            np.array([c.false_alarms for c in ordered]),
        )

    def within(self, fits: Flags, allowed: int, recall_floor: float) -> tuple[Flags, int]:
        """Of the fitting ones those within a budget, or what the recall floor takes, and how much more that is."""
        reaching = fits & (self.recall >= min(recall_floor, float(self.recall[fits].max())))
        least = int(self.false_alarms[reaching].min())
        return fits & (self.false_alarms <= max(allowed, least)), max(0, least - allowed)


def choose_operating_points(
    evidence: Mapping[str, Evidence], budgets: Mapping[PresetName, float] = BUDGETS_PER_HOUR
) -> tuple[Presets, dict[str, dict[PresetName, Choice]]]:
    """Return presets, and by label and preset what they gave; the same evidence gives the same presets.

    `quiet` is at least as strict as `balanced` and `sensitive` at most as strict in every setting that decides about an
    onset, so that sensitivity moves in one direction. `balanced` lies within `GIVEN_WAY` of the highest value that its
    budget allows; of these, the three are chosen together with which the other two exceed their budgets least, then
    those of the highest sum of values, in which `balanced` counts twice.
    """
    chosen = {label: _choose_label(label, tracks, budgets) for label, tracks in evidence.items()}
    names: tuple[PresetName, ...] = ("quiet", "balanced", "sensitive")
    points = {name: {label: choices[name].point for label, choices in chosen.items()} for name in names}
    return Presets(quiet=points["quiet"], balanced=points["balanced"], sensitive=points["sensitive"]), chosen


def allowed_alarms(per_hour: float, hours: float) -> int:
    """Return how many false alarms a budget allows in so many hours: none for 0, else at least one."""
    return max(1, int(per_hour * hours + 1e-9)) if per_hour > 0 else 0


def judge_point(label: str, evidence: Evidence, point: OperatingPoint, allowed: int) -> Choice:
    """Run the node's detector over the evidence."""

    def events(tracks: Sequence[Track]) -> list[int]:
        return [len(track.events(label, point)) for track in tracks]

    def recall(tracks: Sequence[Track]) -> float:
        return round(float(_weights(tracks) @ (np.array(events(tracks)) > 0)), 4)

    alarmed = sum(count > 0 for count in events(evidence.negative_clips))
    return Choice(
        point,
        recall=recall(evidence.positives or evidence.events),
        event_recall=recall(evidence.events) if evidence.events else None,
        clip_alarms=round(alarmed / max(1, len(evidence.negative_clips)), 4),
        false_alarms=sum(events(evidence.long_negatives)),
        allowed=allowed,
        hours=round(evidence.hours, 4),
    )


def _weights(tracks: Sequence[Track]) -> Floats:
    """Return float64[tracks], sum 1: every original recording (group) weighs the same."""
    sizes = Counter(track.recording.group for track in tracks)
    return np.array([1 / (len(sizes) * sizes[track.recording.group]) for track in tracks])


def _choose_label(label: str, evidence: Evidence, budgets: Mapping[PresetName, float]) -> dict[PresetName, Choice]:
    allowed = {name: allowed_alarms(budgets[name], evidence.hours) for name in RECALL_FLOOR}
    grid = _Grid.of(_candidates(evidence, allowed.values()))
    places = _choose_together(grid, allowed)

    def judged(name: PresetName) -> Choice:
        point = grid.candidates[places[name]].point.model_copy(update={"cooldown_s": COOLDOWN_S[name]})
        return judge_point(label, evidence, point, allowed[name])

    return {name: judged(name) for name in RECALL_FLOOR}


def _choose_together(grid: _Grid, allowed: Mapping[PresetName, int]) -> dict[PresetName, int]:
    """Return the place of each preset's point in the grid."""
    middles, _ = grid.within(np.ones(len(grid.value), bool), allowed["balanced"], RECALL_FLOOR["balanced"])
    near = np.flatnonzero(middles & (grid.value >= grid.value[middles].max() - GIVEN_WAY))
    _, firsts = np.unique(grid.strictness[near], axis=0, return_index=True)  # those alike in strictness have like sides
    best, found = (math.inf, math.inf), {}
    for middle in near[np.sort(firsts)]:
        strictness = grid.strictness[middle]
        sides: dict[PresetName, Flags] = {
            "quiet": (grid.strictness >= strictness).all(axis=1),
            "sensitive": (grid.strictness <= strictness).all(axis=1),
        }
        places: dict[PresetName, int] = {"balanced": int(middle)}
        excess, value = 0, 2 * grid.value[middle]
        for name, fits in sides.items():
            kept, more = grid.within(fits, allowed[name], RECALL_FLOOR[name])
            places[name] = int(kept.argmax())
            excess, value = excess + more, value + grid.value[places[name]]
        if (excess, -value) < best:
            best, found = (excess, -value), places
    return found


def _candidates(evidence: Evidence, allowed: Collection[int]) -> Iterator[_Candidate]:
    """Judge every point of the grid."""
    hop_s = evidence.long_negatives[0].hop_s
    kinds = [tracks for tracks in (evidence.positives, evidence.events) if tracks]
    found = [_weights(tracks) for tracks in kinds]
    apart_frames = math.ceil(max(BRIDGING_S) / hop_s) + 2
    sides = [
        JoinedTracks.of([track.posteriors for track in tracks], apart_frames)
        for tracks in (*kinds, evidence.negative_clips, evidence.long_negatives)
    ]
    least_frames = [max(1, math.ceil(length_s / hop_s - 1e-6)) for length_s in MIN_LENGTH_S]
    certains = _certain_levels(evidence.long_negatives, allowed)
    length_costs = LENGTH_COST_PER_S * np.array(MIN_LENGTH_S)[:, None, None]
    clips = max(1, len(evidence.negative_clips))
    for low, leave in enumerate(LEVELS):
        sides = [side.above(leave) for side in sides]
        enters = [LEVELS[low + steps] for steps in HYSTERESIS_STEPS if low + steps < len(LEVELS)]
        for bridging_s in BRIDGING_S if enters else ():
            frames = math.floor(bridging_s / hop_s + 1e-6)
            *holding, others, long = (find_events(side, leave, frames, enters, certains) for side in sides)
            recall, splits = _recall_and_splits(holding, found, least_frames)
            clip_alarms = (others.reported_by_track(least_frames, clips) > 0).sum(axis=0) / clips
            costs = CLIP_ALARM_COST * clip_alarms + SPLIT_COST * splits + length_costs
            alarms = long.reported(least_frames).sum(axis=0)
            for place in np.ndindex(recall.shape):
                length_s, enter, certain = MIN_LENGTH_S[place[0]], enters[place[1]], certains[place[2]]
                if enter <= certain:
                    point = OperatingPoint.model_construct(
                        enter=enter, leave=leave, certain=certain, min_length_s=length_s, bridging_s=bridging_s,
                        cooldown_s=0.0,
                    )  # fmt: skip
                    value = round(float(recall[place] - costs[place]), 9)
                    yield _Candidate(point, value, float(recall[place]), int(alarms[place]))


def _certain_levels(long_negatives: Sequence[Track], allowed: Collection[int]) -> list[float]:
    """Return levels, by a margin higher than all but as many long recordings as a budget allows alarms, and 1."""
    highest = sorted((track.score for track in long_negatives), reverse=True)
    cleared = [max(highest[alarms], LEVELS[0]) for alarms in allowed if alarms < len(highest)]
    odds_against = [(1 / score - 1) * math.exp(-CERTAIN_MARGIN) for score in cleared]
    places = [bisect_right(LEVELS, 1 / (1 + odds)) for odds in odds_against]
    return sorted({LEVELS[place] for place in places if place < len(LEVELS)} | {1.0})


def _recall_and_splits(
    holding: Sequence[FoundEvents], weights: Sequence[Floats], least_frames: Sequence[int]
) -> tuple[Floats, Floats]:
    """Return two float64[lengths, enters, certains], each the mean over kinds of tracks: recall, events too many."""
    recalls, splits = [], []
    for found, weight in zip(holding, weights, strict=True):
        events = found.reported_by_track(least_frames, len(weight))
        recalls.append(np.tensordot(weight, events > 0, axes=1))
        splits.append(np.maximum(events - 1, 0).sum(axis=0) / len(weight))
    return np.mean(recalls, axis=0), np.mean(splits, axis=0)
