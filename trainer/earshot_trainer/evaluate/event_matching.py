"""Estimated events against reference events: event-based and segment-based F1 as the field defines them.

A. Mesaros, T. Heittola, T. Virtanen, "Metrics for Polyphonic Sound Event Detection", Applied Sciences 6(6), 2016.
"""

import math
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from earshot_trainer.evaluate.tagging import Decisions

Span = tuple[float, float]
"""Onset and offset in seconds."""


def event_based(
    pairs: Iterable[tuple[Sequence[Span], Sequence[Span]]], collar_s: float, length_share: float
) -> Decisions:
    """Count over (reference, estimated) of many recordings.

    An estimated event matches a reference event when its onset is at most `collar_s` away, and its offset at most
    `collar_s` or `length_share` of the reference's length, whichever is more. The largest one-to-one matching counts.
    """
    hits = misses = false_alarms = 0
    for reference, estimated in pairs:
        matched = count_matches(reference, estimated, collar_s, length_share)
        hits += matched
        misses += len(reference) - matched
        false_alarms += len(estimated) - matched
    return Decisions.of(hits, misses, false_alarms)


def segment_based(recordings: Iterable[tuple[Sequence[Span], Sequence[Span], float]], segment_s: float) -> Decisions:
    """Count segments over (reference, estimated, duration_s); an event is active in every segment that it touches."""
    rolls = [
        (segments_of(reference, duration_s, segment_s), segments_of(estimated, duration_s, segment_s))
        for reference, estimated, duration_s in recordings
    ]
    if not rolls:
        return Decisions.of(0, 0, 0)
    truth, decided = (np.concatenate(side) for side in zip(*rolls, strict=True))
    return Decisions.count(truth, decided)


def count_matches(reference: Sequence[Span], estimated: Sequence[Span], collar_s: float, length_share: float) -> int:
    """Return the size of the largest one-to-one matching (augmenting paths)."""
    fitting = [
        [column for column, event in enumerate(estimated) if _fits(event, true, collar_s, length_share)]
        for true in reference
    ]
    partner: dict[int, int] = {}

    def assign(row: int, tried: set[int]) -> bool:
        for column in fitting[row]:
            if column not in tried:
                tried.add(column)
                if column not in partner or assign(partner[column], tried):
                    partner[column] = row
                    return True
        return False

    return sum(assign(row, set()) for row in range(len(reference)))


def segments_of(events: Iterable[Span], duration_s: float, segment_s: float) -> NDArray[np.bool_]:
    """Return bool[segments], true where any part of an event lies; the last segment may be a part of one."""
    active = np.zeros(math.ceil(duration_s / segment_s), dtype=bool)
    for onset_s, offset_s in events:
        active[math.floor(onset_s / segment_s) : math.ceil(offset_s / segment_s)] = True
    return active


def _fits(estimated: Span, reference: Span, collar_s: float, length_share: float) -> bool:
    tolerated_s = max(collar_s, length_share * (reference[1] - reference[0]))
    return abs(estimated[0] - reference[0]) <= collar_s and abs(estimated[1] - reference[1]) <= tolerated_s
