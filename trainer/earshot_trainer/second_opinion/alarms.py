"""Alarms as one meets them: synthesized ones over the recordings that a run was trained on.

    signals of a label -> pool of them, indoors -> laid over recordings (`MixtureRenderer`) -> windows in which a tone
    sounds -> embeddings

Two recordings of smoke alarms teach a row next to nothing. Their signals are standards, and a row that is taught these
alone finds both recordings (trainer/EXPERIMENTS.md, 2026-12-01).
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.distillation.lessons import share_of_windows
from earshot_trainer.distillation.mixtures import MixtureRenderer
from earshot_trainer.distillation.store import window_decisions
from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats
from earshot_trainer.segments.alarms import alarm_indoors, signals_of
from earshot_trainer.segments.synthetic import SyntheticSound
from earshot_trainer.training.finished_run import FinishedRun

SOUNDS, SOUND_S = 400, 10.0
MIXTURES_SHARE = 0.1
"""Of the number that the run's recipe distils, how many are rendered; nearly half of them hold an alarm."""
TONE_SHARE = 0.25
"""Of a window, over which a tone has to sound: a pulse of half a second does, and three of a tenth."""
STREAM = 31
"""Of random numbers; keeps these draws apart from others with the same seed."""


def mixtures_for(run: FinishedRun) -> int:
    """How many mixtures are to be rendered for the run: none where its recipe distils nothing."""
    return 0 if run.recipe.distillation is None else round(MIXTURES_SHARE * run.recipe.distillation.mixtures)


@torch.inference_mode()
def embed_alarms(
    run: FinishedRun,
    label: str,
    ears: Ears,
    embed: Callable[[Tensor], Tensor],
    progress: Callable[[], None] = lambda: None,
) -> list[Floats]:
    """Embeddings [windows, C] of those windows of each mixture in which a tone of the label's alarms sounds.

    Args:
        run: what it was trained on is what they are laid over, and its recipe says how long and how many mixtures are.
        label: one with `signals_of`.
        ears: what makes the tagger's frames of samples.
        embed: windows of frames [K, 96, 64] to embeddings [K, C].
        progress: called after each of `mixtures_for` mixtures.
    """
    backgrounds = [one for one in run.learnt if not one.is_siren and label not in one.labels]
    mixing, seed = run.recipe.mixing, run.recipe.training.seed
    length = mixing.segment_hops * HOP_SAMPLES
    renderer = MixtureRenderer(backgrounds, run.cache, _pool(label, seed), length, mixing.active_range_db, seed)
    decisions = window_decisions(length)
    embeddings = []
    for number in range(mixtures_for(run) if backgrounds else 0):
        mixture = renderer.render(number)
        sounds = share_of_windows(mixture.active[None], decisions)[0] > TONE_SHARE
        if sounds.any():
            frames = ears.frames(to_int16(mixture.samples))
            ends = FRAMES_PER_HOP * (decisions[sounds] + 1)
            embeddings.append(embed(torch.stack([frames[end - WINDOW_FRAMES : end] for end in ends])).numpy())
        progress()
    return embeddings


def _pool(label: str, seed: int) -> list[SyntheticSound]:
    """Alarms for the renderer, which calls what it lays over backgrounds a siren."""
    names, pool = signals_of(label), []
    for number in range(SOUNDS):
        name = names[number % len(names)]
        samples = alarm_indoors(name, np.random.default_rng([seed, STREAM, number]), SOUND_S)
        pool.append(SyntheticSound(to_int16(samples), name, is_siren=True))
    return pool
