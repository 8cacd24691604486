"""Clips hold the audio that they promise, to the sample."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.clips.cutter import ClipCutter, Cut
from earshot_node.contract.config import ClipsSection

CONFIG = ClipsSection(pre_roll_s=1.0, post_roll_s=0.5, max_length_s=10.0)


def block(samples: np.ndarray, start: int, stream: int = 0) -> Block:
    return Block("mic", stream, start, samples.astype(np.float32), 0.0, 0.0)


def stream_with_tone(length_s: float, begin_s: float, end_s: float) -> np.ndarray:
    times = np.arange(round(length_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    return np.where((times >= begin_s) & (times < end_s), 0.5 * np.sin(2 * np.pi * 1000 * times), 0.0)


@settings(max_examples=20, deadline=None)
@given(st.integers(100, 20000))
def test_tone_is_found_where_the_clip_says_within_50_ms(block_samples: int) -> None:
    audio = stream_with_tone(20, 7.3, 9.1)
    cutter = ClipCutter(CONFIG)
    cuts: list[Cut] = []
    ended = begun = False
    for start in range(0, len(audio), block_samples):
        now_s = min(start + block_samples, len(audio)) / SAMPLE_RATE_HZ
        if not begun and now_s > 7.6:
            cutter.begin("event", 0, 7.3)
            begun = True
        if not ended and now_s > 9.4:
            cuts += cutter.end("event", 9.1)
            ended = True
        cuts += cutter.push(block(audio[start : start + block_samples], start))
    (cut,) = cuts
    assert cut.begin_s == pytest.approx(6.3)
    assert len(cut.pcm) == round((9.1 + 0.5 - 6.3) * SAMPLE_RATE_HZ)
    loud = np.flatnonzero(np.abs(cut.pcm) > 1000) / SAMPLE_RATE_HZ + cut.begin_s
    assert loud[0] == pytest.approx(7.3, abs=0.05)
    assert loud[-1] == pytest.approx(9.1, abs=0.05)


def test_clip_of_an_event_at_the_streams_beginning_starts_there() -> None:
    cutter = ClipCutter(CONFIG)
    cutter.push(block(np.ones(SAMPLE_RATE_HZ), 0))
    cutter.begin("event", 0, 0.2)
    assert cutter.end("event", 0.4)[0].begin_s == 0.0


def test_long_event_is_cut_at_the_longest_length_and_keeps_its_beginning() -> None:
    cutter = ClipCutter(CONFIG)
    cutter.begin("event", 0, 2.0)
    cuts: list[Cut] = []
    for second in range(60):
        cuts += cutter.push(block(np.ones(SAMPLE_RATE_HZ), second * SAMPLE_RATE_HZ))
    cuts += cutter.end("event", 58.0)
    (cut,) = cuts
    assert cut.begin_s == 1.0
    assert len(cut.pcm) == 10 * SAMPLE_RATE_HZ


def test_stream_that_breaks_off_gives_the_clip_as_far_as_it_goes() -> None:
    cutter = ClipCutter(CONFIG)
    cutter.begin("event", 0, 1.0)
    assert cutter.push(block(np.ones(2 * SAMPLE_RATE_HZ), 0)) == []
    (cut,) = cutter.push(block(np.ones(100), 0, stream=1))
    assert (cut.stream, cut.begin_s, len(cut.pcm)) == (0, 0.0, 2 * SAMPLE_RATE_HZ)


def test_clip_of_the_next_stream_is_not_cut_by_the_end_of_the_one_before() -> None:
    cutter = ClipCutter(CONFIG)
    cutter.push(block(np.ones(100), 0))
    cutter.begin("event", 1, 0.1)
    assert cutter.push(block(np.ones(SAMPLE_RATE_HZ), 0, stream=1)) == []
    assert len(cutter.end("event", 0.3)) == 1
