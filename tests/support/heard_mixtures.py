"""Mixtures as a tagger might have heard them: noise; in every second one a siren moves a number of its embedding."""

import numpy as np

from earshot_trainer.distillation.store import PIECE, HeardMixtures, encode_frames, window_decisions
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES

SIREN, BACKGROUND, KEPT_OUT = 0, 1, 2


def heard_mixtures(length: int = 64_000, mels: int = 16, audible: float = 20.0) -> HeardMixtures:
    """A piece of mixtures of `length` samples; `audible` is how far a siren moves its number."""
    rng = np.random.default_rng(0)
    decisions, windows = length // HOP_SAMPLES, len(window_decisions(length))
    has_siren = np.arange(PIECE) % 2 == 0
    embeddings = rng.standard_normal((PIECE, windows, 1024)) * np.geomspace(3.0, 0.01, 1024)
    embeddings[has_siren, :, 1] += audible
    frames = rng.uniform(-10, 5, (PIECE, decisions * FRAMES_PER_HOP, mels)).astype(np.float32)
    return HeardMixtures(
        frames=[encode_frames(frames)],
        active=np.repeat(has_siren[:, None], decisions, axis=1),
        embeddings=embeddings.astype(np.float16),
        ingredients=[
            (SIREN if siren else BACKGROUND, KEPT_OUT)[: 1 + (n % 5 == 0)] for n, siren in enumerate(has_siren)
        ],
    )
