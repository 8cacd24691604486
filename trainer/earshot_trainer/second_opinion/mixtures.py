"""Sirens as one meets them: over other sounds, in rooms, across a town, in the mixtures that the run learnt from.

Recordings of sirens are few and most of them close. An output that is fitted to them alone is unsure of a siren in
traffic or behind echoes (trainer/EXPERIMENTS.md, 2026-11-30). What holds no siren is learnt from recordings alone:
mixtures of them teach it to doubt.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from earshot_trainer.distillation.lessons import SIREN_SHARE, share_of_windows
from earshot_trainer.distillation.store import HeardMixtures, window_decisions
from earshot_trainer.distillation.tagger import WINDOW_FRAMES, ClassScores
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats
from earshot_trainer.training.finished_run import FinishedRun

MOST_MIXTURES = 4_000
"""More, and they are heard longer than all recordings."""
LEAST_SCORE = 0.007
"""Of the tagger's siren classes, where a recorded siren is to be heard in a mixture at all.

A synthesized one is to be, whatever the tagger says: it may be of a country that the tagger hardly knows.
"""


@dataclass(frozen=True)
class SirenMixture:
    """A mixture by its number, and whether the siren in it is a recording."""

    number: int
    is_recorded: bool


def choose_mixtures(run: FinishedRun, heard: HeardMixtures) -> list[SirenMixture]:
    """Mixtures with a siren and nothing that the run was not trained on, `MOST_MIXTURES` at most."""
    numbers = heard.made_of(run.is_learnt)
    numbers = numbers[heard.active[numbers].any(axis=1)]
    chosen = np.sort(np.random.default_rng(run.recipe.training.seed).permutation(numbers)[:MOST_MIXTURES])
    return [
        SirenMixture(int(number), any(run.recordings[row].is_siren for row in heard.ingredients[number]))
        for number in chosen
    ]


@torch.inference_mode()
def embed_sirens(
    heard: HeardMixtures,
    mixtures: Sequence[SirenMixture],
    ears: Ears,
    embed: Callable[[Tensor], Tensor],
    classes: ClassScores,
    progress: Callable[[], None] = lambda: None,
) -> list[Floats]:
    """Embeddings [windows, C] of those windows of each mixture in which a siren is to be heard.

    Args:
        heard: what there is to listen to.
        mixtures: which of them.
        ears: what makes the tagger's frames of log-mel frames.
        embed: windows of frames [K, 96, 64] to embeddings [K, C].
        classes: the tagger's opinion of its embeddings.
        progress: called after each mixture.
    """
    decisions = window_decisions(heard.active.shape[1] * HOP_SAMPLES)
    ends = FRAMES_PER_HOP * (decisions + 1)
    least, sirens = np.log(LEAST_SCORE / (1 - LEAST_SCORE)), list(classes.sirens)
    embeddings = []
    for one in mixtures:
        is_heard = share_of_windows(heard.active[[one.number]], decisions)[0] > SIREN_SHARE
        if one.is_recorded:
            is_heard &= classes.logits(heard.embeddings[one.number])[:, sirens].max(axis=1) >= least
        frames = ears.tagger_frames(torch.from_numpy(heard.frames_of(one.number)))
        windows = [frames[end - WINDOW_FRAMES : end] for end in ends[is_heard]]
        if windows:
            embeddings.append(embed(torch.stack(windows)).numpy())
        progress()
    return embeddings
