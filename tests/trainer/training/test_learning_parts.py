import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.corpus.activity import active_frames, frame_levels_dbfs  # noqa: E402
from earshot_trainer.segments.mining import SpanMiner  # noqa: E402
from earshot_trainer.training.losses import segment_loss, teacher_loss  # noqa: E402
from earshot_trainer.training.recipe import MiningRecipe, TrainingRecipe  # noqa: E402
from earshot_trainer.training.teacher import HOP_SAMPLES, WINDOW_SAMPLES, scores_at  # noqa: E402

PLAIN = TrainingRecipe(label_smoothing=0.0, clip_loss_weight=0.0)


def test_frame_level_of_a_sine_is_its_rms() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(16_000) / 16_000)
    levels = frame_levels_dbfs((tone * 32767).astype(np.int16))
    assert levels == pytest.approx(20 * math.log10(0.5 / math.sqrt(2)), abs=0.05)


def test_quiet_part_of_a_recording_is_not_active() -> None:
    tone = 0.5 * np.sin(2 * np.pi * 500 * np.arange(32_000) / 16_000)
    tone[16_000:] *= 0.01
    active = active_frames((tone * 32767).astype(np.int16), range_db=18.0)
    assert active[:24].all()
    assert not active[28:].any()


def test_digital_silence_is_never_active() -> None:
    assert not active_frames(np.zeros(16_000, dtype=np.int16), range_db=18.0).any()


def test_frame_loss_equals_the_weighted_mean_of_cross_entropies() -> None:
    logits = torch.tensor([[2.0, -1.0, 0.5]])
    targets = torch.tensor([[1.0, 0.0, 0.0]])
    weights = torch.tensor([[1.0, 1.0, 0.0]])
    expected = (math.log1p(math.exp(-2.0)) + math.log1p(math.exp(-1.0))) / 2
    assert float(segment_loss(logits, targets, weights, PLAIN)) == pytest.approx(expected, rel=1e-6)


def test_unscored_frames_do_not_change_the_loss() -> None:
    recipe = TrainingRecipe(clip_loss_weight=1.0)
    targets = torch.tensor([[1.0, 1.0, 0.0, 0.0]])
    weights = torch.tensor([[1.0, 0.0, 1.0, 0.0]])
    first = segment_loss(torch.tensor([[2.0, 9.0, -1.0, -9.0]]), targets, weights, recipe)
    second = segment_loss(torch.tensor([[2.0, -9.0, -1.0, 9.0]]), targets, weights, recipe)
    assert float(first) == pytest.approx(float(second))


def test_clip_loss_punishes_one_loud_frame_of_a_negative() -> None:
    recipe = TrainingRecipe(clip_loss_weight=1.0)
    calm = torch.full((1, 100), -4.0)
    spike = calm.clone()
    spike[0, 40] = 4.0
    none, all_scored = torch.zeros(1, 100), torch.ones(1, 100)
    difference = segment_loss(spike, none, all_scored, recipe) - segment_loss(calm, none, all_scored, recipe)
    assert float(difference) > 1.0


def test_teacher_loss_counts_known_rows_only() -> None:
    scores = torch.tensor([[[1.0, 0.0]], [[math.nan, math.nan]]])
    logits = torch.zeros(2, 1, 2, requires_grad=True)
    loss = teacher_loss(logits, scores)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(2 * math.log(2))
    assert logits.grad is not None
    assert float(logits.grad[1].abs().max()) == 0.0


def test_teacher_row_is_the_one_whose_window_is_nearest() -> None:
    scores = np.arange(4, dtype=np.float32)[:, None]
    samples = 3 * HOP_SAMPLES + WINDOW_SAMPLES
    rows = scores_at(scores, 0, samples // 640, samples)[:, 0]
    for row in range(4):
        centre_frame = (row * HOP_SAMPLES + WINDOW_SAMPLES // 2) // 640
        assert rows[centre_frame] == row
    assert scores_at(scores, samples - 640, 2, samples)[1, 0] == 0.0


def test_span_that_fools_the_network_is_drawn_more_often() -> None:
    miner = SpanMiner(np.full(4, 0.25), MiningRecipe(strength=6.0))
    for _ in range(20):
        miner.note(np.array([2]), np.array([1.0]))
    assert miner.odds[2] == 0.25
    miner.renew()
    assert miner.odds.sum() == pytest.approx(1.0)
    assert miner.odds[2] / miner.odds[0] == pytest.approx(7.0, rel=1e-3)
