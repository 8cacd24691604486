"""Takes under every condition, heard by a subject in several processes."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.conditions.take import LEAD_S, Condition
from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.robustness_takes import PlannedTake, load_take
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import detect


@dataclass(frozen=True, slots=True)
class HeardTake:
    """One take under every condition.

    Attributes:
        group: takes of one group are alike.
        found: bool[conditions, presets], whether an event reaches into the sound.
        peaks: float[conditions], the highest posterior during the sound.
        problem: why there is no take; the arrays are then empty.
    """

    name: str
    group: str
    is_positive: bool
    found: NDArray[np.bool_]
    peaks: NDArray[np.float64]
    problem: str = ""


def hear_all(
    subject: Subject, label: str, conditions: Sequence[Condition], plan: Sequence[PlannedTake], jobs: int
) -> Iterator[HeardTake]:
    """Hear takes in order, each under every condition, `jobs` processes at once."""
    return map_with_subject(partial(hear_take, label=label, conditions=conditions), subject, plan, jobs)


def hear_take(subject: Subject, planned: PlannedTake, label: str, conditions: Sequence[Condition]) -> HeardTake:
    """Hear one take under every condition, the state fresh each time; `subject` decides, one of its models hears."""
    recording = planned.recording
    try:
        take = load_take(planned)
    except OperatorError as error:
        nothing = np.zeros((0, 0), np.bool_), np.zeros(0)
        return HeardTake(recording.name, recording.group, planned.is_positive, *nothing, problem=str(error))
    model = subject.for_recordings([recording, planned.background])
    column = model.labels.index(label)
    found = np.zeros((len(conditions), len(PRESET_SENSITIVITY)), np.bool_)
    peaks = np.zeros(len(conditions))
    for row, condition in enumerate(conditions):
        posteriors = model.score_audio(condition.apply(take, planned.rng(condition.name)), label)[:, column]
        found[row] = _decide(posteriors, subject, label)
        peaks[row] = posteriors[math.floor(LEAD_S / subject.hop_s + 1e-6) :].max(initial=0.0)
    return HeardTake(recording.name, recording.group, planned.is_positive, found, peaks)


def _decide(posteriors: NDArray[np.float32], subject: Subject, label: str) -> list[bool]:
    """Return for every preset whether an event lasts into the sound."""
    points = [getattr(subject.presets, preset)[label] for preset in PRESET_SENSITIVITY]
    return [
        any((event.offset_s or 0.0) > LEAD_S for event in detect(posteriors, label, point, subject.hop_s))
        for point in points
    ]
