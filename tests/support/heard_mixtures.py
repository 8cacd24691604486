"""Mixtures as a tagger might have heard them: noise; in every second one a siren moves a number of its embedding."""

import numpy as np

from earshot_trainer.distillation.lessons import TrainingSide
from earshot_trainer.distillation.store import PIECE, HeardMixtures, encode_frames, window_decisions
from earshot_trainer.distillation.tagger import ClassScores
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES

SIREN, BACKGROUND, KEPT_OUT = 0, 1, 2


def everything_allowed() -> TrainingSide:
    """All recordings are trained on, and the siren is one of them."""
    return TrainingSide((True, True, True), (True, False, False))


def class_scores() -> ClassScores:
    """Twelve classes, of which two are sirens; the first of these looks at the number that sirens move."""
    weight = np.random.default_rng(1).standard_normal((12, 1024)).astype(np.float32) * 0.1
    weight[4] = np.eye(1024, dtype=np.float32)[1]
    return ClassScores(weight, np.zeros(12, np.float32), (4, 5))


def heard_mixtures(length: int = 64_000, mels: int = 16, faint_every: int = PIECE) -> HeardMixtures:
    """A piece of mixtures of `length` samples; the tagger does not hear the siren of each `faint_every`-th."""
    rng = np.random.default_rng(0)
    decisions, windows = length // HOP_SAMPLES, len(window_decisions(length))
    has_siren = np.arange(PIECE) % 2 == 0
    embeddings = rng.standard_normal((PIECE, windows, 1024)) * np.geomspace(3.0, 0.01, 1024)
    embeddings[has_siren & (np.arange(PIECE) % faint_every != 0), :, 1] += 20.0
    frames = rng.uniform(-10, 5, (PIECE, decisions * FRAMES_PER_HOP, mels)).astype(np.float32)
    return HeardMixtures(
        frames=[encode_frames(frames)],
        active=np.repeat(has_siren[:, None], decisions, axis=1),
        embeddings=embeddings.astype(np.float16),
        ingredients=[
            (SIREN if siren else BACKGROUND, KEPT_OUT)[: 1 + (n % 5 == 0)] for n, siren in enumerate(has_siren)
        ],
    )
