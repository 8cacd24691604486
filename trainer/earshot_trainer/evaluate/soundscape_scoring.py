"""Soundscapes heard by a subject, rendered one at a time; the posteriors are kept for every later question."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.soundscape_audio import render
from earshot_trainer.evaluate.soundscape_plan import SoundscapePlan, Soundscapes
from earshot_trainer.evaluate.subject import Subject

Posteriors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class HeardSoundscape:
    """A soundscape and what the subject made of it.

    Attributes:
        posteriors: float32[frames] of the plan's label; frame `i` ends at `(i + 1) * hop_s`.
    """

    plan: SoundscapePlan
    posteriors: Posteriors
    hop_s: float


def hear_soundscapes(
    subject: Subject, soundscapes: Soundscapes, jobs: int = 1, advance: Callable[[int, int], None] = lambda *_: None
) -> list[HeardSoundscape]:
    """Render and score every plan in order, `jobs` processes at once; `advance(done, total)` is called on the way.

    A subject of several models hears each soundscape by the one that may (`Subject.for_recordings`).

    Raises:
        AudioFileError: a recording cannot be read.
    """
    plans = soundscapes.plans
    # The same layout at all SNRs goes to one process, which then reads its recordings once.
    layouts = [tuple(group) for _, group in groupby(plans, key=lambda plan: (plan.partition, plan.layout))]
    heard: list[HeardSoundscape] = []
    for layout, posteriors in zip(layouts, map_with_subject(hear_layout, subject, layouts, jobs), strict=True):
        pairs = zip(layout, posteriors, strict=True)
        heard.extend(HeardSoundscape(plan, scores, subject.hop_s) for plan, scores in pairs)
        advance(len(heard), len(plans))
    return heard


def hear_layout(subject: Subject, plans: tuple[SoundscapePlan, ...]) -> list[Posteriors]:
    """Return float32[frames] of each plan, the posteriors of its label.

    Raises:
        AudioFileError: a recording cannot be read.
        ValueError: the subject does not have the label.
    """
    found = []
    for plan in plans:
        scores = subject.for_recordings(plan.recordings).score_audio(render(plan), plan.label)
        found.append(np.ascontiguousarray(scores[:, subject.labels.index(plan.label)]))
    return found
