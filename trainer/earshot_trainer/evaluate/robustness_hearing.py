"""Takes under every condition, heard by a subject in several processes."""

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.conditions.take import LEAD_S, Condition
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


@dataclass(frozen=True)
class Listener:
    """What a worker needs: the subject, the label it is asked about, and the conditions."""

    subject: Subject
    label: str
    conditions: Sequence[Condition]

    def hear(self, planned: PlannedTake) -> HeardTake:
        """Hear one take under every condition, the state fresh each time."""
        recording = planned.recording
        try:
            take = load_take(planned)
        except OperatorError as error:
            nothing = np.zeros((0, 0), np.bool_), np.zeros(0)
            return HeardTake(recording.name, recording.group, planned.is_positive, *nothing, problem=str(error))
        subject = self.subject.for_recordings([recording, planned.background])
        column = subject.labels.index(self.label)
        found = np.zeros((len(self.conditions), len(PRESET_SENSITIVITY)), np.bool_)
        peaks = np.zeros(len(self.conditions))
        for row, condition in enumerate(self.conditions):
            samples = condition.apply(take, planned.rng(condition.name))
            posteriors = subject.score_audio(samples)[:, column]
            found[row] = self._decide(posteriors)
            peaks[row] = posteriors[math.floor(LEAD_S / subject.hop_s + 1e-6) :].max(initial=0.0)
        return HeardTake(recording.name, recording.group, planned.is_positive, found, peaks)

    def _decide(self, posteriors: NDArray[np.float32]) -> list[bool]:
        """Return for every preset whether an event lasts into the sound."""
        points = [getattr(self.subject.presets, preset)[self.label] for preset in PRESET_SENSITIVITY]
        hop_s = self.subject.hop_s
        return [
            any((event.offset_s or 0.0) > LEAD_S for event in detect(posteriors, self.label, point, hop_s))
            for point in points
        ]


def hear_all(listener: Listener, plan: Sequence[PlannedTake], jobs: int) -> Iterator[HeardTake]:
    """Hear takes in order, `jobs` processes at once."""
    if jobs <= 1 or len(plan) <= 1:
        yield from map(listener.hear, plan)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(min(jobs, len(plan)), context, _start_worker, (listener,)) as pool:
        yield from pool.map(_hear_in_worker, plan)


_worker: list[Listener] = []


def _start_worker(listener: Listener) -> None:
    _worker.append(listener)


def _hear_in_worker(planned: PlannedTake) -> HeardTake:
    return _worker[0].hear(planned)
