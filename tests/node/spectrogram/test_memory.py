"""What is kept of the frames does not depend on how they were cut, and does not grow."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earshot_node.spectrogram.memory import KEPT_S, LOWEST, STEP, FrameMemory

HOP_S = 0.01
RNG = np.random.default_rng(3)
FRAMES = RNG.uniform(-13, 9, (400, 12)).astype(np.float32)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=40))
def test_excerpt_is_the_same_however_frames_were_cut(quarters: list[int]) -> None:
    whole, cut = FrameMemory(), FrameMemory()
    whole.push(0.0, FRAMES, HOP_S)
    at = 0
    for count in (*quarters, 1000):
        piece = FRAMES[at : at + 4 * count]
        if len(piece):
            cut.push(at * HOP_S, piece, HOP_S)
        at += 4 * count
    one, other = whole.excerpt(0.5, 3.5), cut.excerpt(0.5, 3.5)
    assert one is not None
    assert other is not None
    assert np.array_equal(one.frames, other.frames)
    assert abs(one.begin_s - other.begin_s) < 1e-6


def test_values_are_kept_to_within_half_a_step() -> None:
    memory = FrameMemory()
    memory.push(0.0, FRAMES, HOP_S)
    kept = memory.excerpt(0.0, 4.0)
    assert kept is not None
    assert kept.frames.shape == (200, 12)
    paired = FRAMES.reshape(200, 2, 12).mean(axis=1)
    assert np.abs(kept.frames * STEP + LOWEST - paired).max() <= STEP / 2 + 1e-4


def test_memory_of_an_hour_is_no_larger_than_of_a_minute() -> None:
    memory = FrameMemory()
    for second in range(3600):
        memory.push(float(second), FRAMES[:100], HOP_S)
    kept = memory.excerpt(0.0, 4000.0)
    assert kept is not None
    assert KEPT_S <= len(kept.frames) * kept.hop_s <= KEPT_S + 1
    assert kept.frames.dtype == np.uint8


def test_gap_begins_anew() -> None:
    memory = FrameMemory()
    memory.push(0.0, FRAMES[:100], HOP_S)
    memory.push(5.0, FRAMES[:100], HOP_S)
    kept = memory.excerpt(0.0, 10.0)
    assert kept is not None
    assert (kept.begin_s, len(kept.frames)) == (5.0, 50)


def test_another_models_bands_begin_anew() -> None:
    memory = FrameMemory()
    memory.push(0.0, FRAMES[:100], HOP_S)
    memory.push(1.0, FRAMES[:100, :8], HOP_S)
    kept = memory.excerpt(0.0, 10.0)
    assert kept is not None
    assert (kept.frames.shape, kept.range_hz) == ((50, 8), (50.0, 8000.0))
    memory.push(2.0, FRAMES[:100, :8], HOP_S, (125.0, 7500.0))
    kept = memory.excerpt(0.0, 10.0)
    assert kept is not None
    assert (kept.begin_s, len(kept.frames), kept.range_hz) == (2.0, 50, (125.0, 7500.0))


def test_nothing_heard_is_no_excerpt() -> None:
    memory = FrameMemory()
    assert memory.excerpt(0.0, 1.0) is None
    memory.push(0.0, FRAMES, HOP_S)
    assert memory.excerpt(9.0, 10.0) is None
    memory.reset()
    assert memory.excerpt(0.0, 1.0) is None
