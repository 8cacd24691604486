"""Windows of heard mixtures: which are taken for sirens, and that they are the ones that a node's graph would make."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.distillation.store import (  # noqa: E402
    FRAME_STEP,
    PIECE,
    HeardMixtures,
    encode_frames,
    window_decisions,
)
from earshot_trainer.distillation.tagger import EMBEDDING, ClassScores  # noqa: E402
from earshot_trainer.network.architecture import HOP_SAMPLES, ModelConfig  # noqa: E402
from earshot_trainer.network.features import LogMel  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.mixtures import SirenMixture, embed_sirens  # noqa: E402

pytestmark = pytest.mark.torch
CONFIG = ModelConfig.from_dict(
    {
        "labels": ["siren"],
        "window_samples": 400,
        "n_mels": 64,
        "mel_min_hz": 125.0,
        "mel_max_hz": 7500.0,
        "power_floor": 1.0e-9,
        "magnitudes": True,
        "level_s": 3.0,
        "tagger_layers": 7,
        "channels": [4, 4, 8, 8],
    }
)
LENGTH = 64_000
DECISIONS = window_decisions(LENGTH)
SURE, DEAF = 5.0, -9.0


def heard_mixtures(samples: list[np.ndarray], active: np.ndarray, tagger_logits: list[float]) -> HeardMixtures:
    """Mixtures as the store has them; the tagger's embedding is its opinion."""
    log_mel = LogMel(CONFIG)
    frames = np.zeros((PIECE, LENGTH // 160, 64), np.uint8)
    for place, one in enumerate(samples):
        made, _ = log_mel(torch.from_numpy(one.astype(np.float32) / 32768)[None], log_mel.initial_cache(1))
        frames[place] = encode_frames(made[0].numpy())
    embeddings = np.zeros((len(samples), len(DECISIONS), EMBEDDING), np.float16)
    embeddings[:, :, 0] = np.array(tagger_logits)[:, None]
    return HeardMixtures([frames], active, embeddings, [(0,)] * len(samples))


def classes() -> ClassScores:
    weight = np.zeros((2, EMBEDDING), np.float32)
    weight[1, 0] = 1.0
    return ClassScores(weight, np.zeros(2, np.float32), (1,))


def sounds(count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(4)
    return [(3000 * rng.standard_normal(LENGTH)).clip(-32768, 32767).astype(np.int16) for _ in range(count)]


def windows_given(heard: HeardMixtures, mixtures: list[SirenMixture]) -> tuple[list[torch.Tensor], list[np.ndarray]]:
    given: list[torch.Tensor] = []

    def embed(windows: torch.Tensor) -> torch.Tensor:
        given.append(windows)
        return windows.mean(dim=1)

    return given, embed_sirens(heard, mixtures, Ears(CONFIG), embed, classes())


def test_windows_are_those_that_the_streaming_graph_makes() -> None:
    (sound,) = sounds(1)
    active = np.ones((1, LENGTH // HOP_SAMPLES), bool)
    given, embeddings = windows_given(heard_mixtures([sound], active, [SURE]), [SirenMixture(0, True)])
    frames = Ears(CONFIG).frames(sound)
    assert len(given[0]) == len(embeddings[0]) == len(DECISIONS)
    for window, decision in zip(given[0], DECISIONS, strict=True):
        end = 4 * (int(decision) + 1)
        gap = (window - frames[end - 96 : end]).abs()
        assert gap.max() < FRAME_STEP  # the store keeps magnitudes' logarithms in steps


def test_only_windows_that_are_mostly_siren_are_taken() -> None:
    active = np.zeros((1, LENGTH // HOP_SAMPLES), bool)
    active[0, :50] = True  # two seconds of four
    given, _ = windows_given(heard_mixtures(sounds(1), active, [SURE]), [SirenMixture(0, True)])
    ends_s = (DECISIONS + 1) * HOP_SAMPLES / 16_000
    # A window of .96 s that ends up to .38 s after the siren is one of it for three fifths.
    assert len(given[0]) == np.count_nonzero(ends_s < 2.0 + 0.38)


def test_recorded_siren_counts_where_the_tagger_hears_it_and_synthesized_one_always() -> None:
    active = np.ones((3, LENGTH // HOP_SAMPLES), bool)
    heard = heard_mixtures(sounds(3), active, [SURE, DEAF, DEAF])
    mixtures = [SirenMixture(0, True), SirenMixture(1, True), SirenMixture(2, False)]
    given, embeddings = windows_given(heard, mixtures)
    assert len(given) == len(embeddings) == 2
    assert windows_given(heard, [mixtures[1]])[0] == []
