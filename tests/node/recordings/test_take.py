"""A take is exactly the audio after the countdown, and says what is suspicious about it."""

from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.recording_parts import BEGIN, blocks_of

from earshot_node.audio.block import Block
from earshot_node.errors import SourceError
from earshot_node.recordings.draft import measure
from earshot_node.recordings.take import TakeRecorder, warnings

RAMP = (np.arange(32000) % 20000 / 32768).astype(np.float32)


@settings(deadline=None, max_examples=50)
@given(size=st.integers(150, 20_000), countdown=st.integers(0, 9000), length=st.integers(8000, 16_000))
def test_take_is_the_audio_after_the_countdown_however_it_is_cut(size: int, countdown: int, length: int) -> None:
    recorder = TakeRecorder(length / 16000, countdown / 16000)
    for block in blocks_of(RAMP, size=size):
        if recorder.take is None:
            recorder.push(block)
    take = recorder.take
    assert take is not None
    assert np.array_equal(take.pcm, (RAMP[countdown : countdown + length] * 32768).astype(np.int16))
    assert abs(take.begin - BEGIN - timedelta(seconds=countdown / 16000)) < timedelta(milliseconds=1)


def test_progress_counts_down_and_then_up() -> None:
    recorder = TakeRecorder(0.5, 0.1)
    told = [recorder.push(block) for block in blocks_of(RAMP[:9600])]
    assert [(one.phase, one.at_s) for one in told[:4]] == [
        ("countdown", 0.06),
        ("countdown", 0.02),
        ("recording", 0.02),
        ("recording", 0.06),
    ]
    assert told[-1].at_s == 0.5


def test_audio_lost_in_a_take_is_said_and_before_it_does_not_matter() -> None:
    first, second, *_ = blocks_of(RAMP)
    recorder = TakeRecorder(1.0)
    recorder.push(first)
    with pytest.raises(SourceError, match="audio was lost"):
        recorder.push(Block("street", 1, 0, second.samples, 0.0, 0.0))
    waiting = TakeRecorder(1.0, countdown_s=1.0)
    waiting.push(first)
    assert waiting.push(Block("street", 1, 0, second.samples, 0.0, 0.0)).phase == "countdown"


def test_source_that_ends_in_a_take_is_said() -> None:
    with pytest.raises(SourceError, match="ended before"):
        TakeRecorder(1.0).push(Block("street", 0, 0, RAMP[:640], 0.0, 0.0, last=True))


@pytest.mark.parametrize(
    ("amplitude", "background", "expected"),
    [
        (0, False, ("silent",)),
        (0, True, ("silent",)),
        (4, False, ("quiet",)),
        (4, True, ()),
        (3000, False, ()),
        (60000, False, ("clipped",)),
    ],
)
def test_warnings_of_a_tone(amplitude: int, background: bool, expected: tuple[str, ...]) -> None:
    tone = np.clip(amplitude * np.sin(np.arange(16000) / 5), -32768, 32767).astype(np.int16)
    assert warnings(measure(tone), background=background) == expected


def test_levels_of_known_signals() -> None:
    square = np.where(np.arange(16000) % 2, 16384, -16384).astype(np.int16)
    assert measure(square).level_dbfs == pytest.approx(-6.0, abs=0.05)
    assert measure(square).peak_dbfs == pytest.approx(-6.0, abs=0.05)
    full = measure(np.full(100, -32768, np.int16))
    assert (full.level_dbfs, full.peak_dbfs, full.clipped_share) == (0.0, 0.0, 1.0)
    assert measure(np.zeros(0, np.int16)).level_dbfs == -120.0
