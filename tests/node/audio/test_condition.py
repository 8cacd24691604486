from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.audio.condition import Condition, ConditionMonitor
from earshot_node.audio.pcm import PcmFormat

FORMAT = PcmFormat(16000, 1)
RNG = np.random.default_rng(7)


def noise(seconds: float, amplitude: float = 2000.0, pcm_format: PcmFormat = FORMAT) -> bytes:
    count = int(seconds * pcm_format.rate_hz) * pcm_format.channels
    return RNG.normal(0, amplitude, count).clip(-32768, 32767).astype("<i2").tobytes()


def zeros(seconds: float, pcm_format: PcmFormat = FORMAT) -> bytes:
    return bytes(int(seconds * pcm_format.bytes_per_s))


def blocks(pcm: bytes, size: int) -> Iterator[bytes]:
    return (pcm[at : at + size] for at in range(0, len(pcm), size))


def push(monitor: ConditionMonitor, pcm: bytes, block_s: float = 0.04) -> Condition | None:
    for block in blocks(pcm, int(block_s * FORMAT.rate_hz) * 2):
        monitor.push(block)
    return monitor.condition


def first_seconds_until(state: str, monitor: ConditionMonitor, pcm: bytes) -> float:
    """Audio time until the state shows; fails when it never does."""
    taken = 0
    for block in blocks(pcm, FORMAT.bytes_per_s // 25):
        taken += len(block)
        condition = monitor.push(block)
        if condition is not None and condition.state == state:
            return taken / FORMAT.bytes_per_s
    raise AssertionError(f"{state} never showed")


def state(condition: Condition | None) -> str | None:
    return None if condition is None else condition.state


def test_sound_is_healthy_from_its_first_block() -> None:
    assert ConditionMonitor(FORMAT).push(noise(0.04)) == Condition("healthy")


def test_silence_is_undecided_before_it_is_silent() -> None:
    monitor = ConditionMonitor(FORMAT)
    assert push(monitor, zeros(9)) is None
    assert state(push(monitor, zeros(2))) == "silent"


def test_quiet_last_bit_noise_is_not_silent() -> None:
    monitor = ConditionMonitor(FORMAT)
    assert state(push(monitor, RNG.integers(0, 2, 16000 * 30).astype("<i2").tobytes())) == "healthy"


@pytest.mark.parametrize("shift_s", [0.0, 0.37, 0.99])
def test_silence_after_sound_shows_within_15_s_and_recovers_within_2_s(shift_s: float) -> None:
    monitor = ConditionMonitor(FORMAT)
    push(monitor, noise(5 + shift_s))
    assert first_seconds_until("silent", monitor, zeros(20)) <= 15
    assert first_seconds_until("healthy", monitor, noise(5)) <= 2


def test_short_digital_silence_is_healthy() -> None:
    monitor = ConditionMonitor(FORMAT)
    assert state(push(monitor, (noise(2) + zeros(8)) * 4)) == "healthy"


@pytest.mark.parametrize("period_s", [0.001, 0.02, 0.0213, 0.25, 0.9])
def test_repeated_buffer_is_frozen_within_15_s_whatever_its_period(period_s: float) -> None:
    monitor = ConditionMonitor(FORMAT)
    push(monitor, noise(3.3))
    buffer = noise(period_s)
    repeated = (buffer * (20 * FORMAT.bytes_per_s // len(buffer) + 1))[: 20 * FORMAT.bytes_per_s]
    assert first_seconds_until("frozen", monitor, repeated) <= 15
    assert first_seconds_until("healthy", monitor, noise(5)) <= 2


def test_repeated_buffer_with_a_stretch_that_repeats_within_itself_is_frozen() -> None:
    buffer = noise(0.14) + noise(0.003) * 34
    repeated = (buffer * 70)[: 16 * FORMAT.bytes_per_s]
    monitor = ConditionMonitor(FORMAT)
    assert first_seconds_until("frozen", monitor, repeated) <= 15


def test_stuck_non_zero_value_is_frozen() -> None:
    monitor = ConditionMonitor(FORMAT)
    assert state(push(monitor, np.full(16000 * 15, -1, "<i2").tobytes())) == "frozen"


def test_same_second_with_one_changed_sample_each_time_is_not_frozen() -> None:
    monitor = ConditionMonitor(FORMAT)
    second = np.frombuffer(noise(1), "<i2").copy()
    for turn in range(20):
        second[turn * 100] += 1
        condition = push(monitor, second.tobytes())
        assert state(condition) == "healthy"


def test_frozen_stereo_is_found() -> None:
    stereo = PcmFormat(48000, 2)
    monitor = ConditionMonitor(stereo)
    buffer = noise(0.02, pcm_format=stereo)
    for _ in range(15 * 50):
        monitor.push(buffer)
    assert state(monitor.condition) == "frozen"


def test_clipping_shows_within_15_s_and_recovers() -> None:
    monitor = ConditionMonitor(FORMAT)
    push(monitor, noise(5))
    assert first_seconds_until("clipped", monitor, noise(20, amplitude=40_000)) <= 15
    assert first_seconds_until("healthy", monitor, noise(20)) <= 15


def test_three_loud_seconds_are_not_clipped() -> None:
    monitor = ConditionMonitor(FORMAT)
    assert state(push(monitor, noise(10) + noise(3, amplitude=40_000) + noise(1))) == "healthy"


def test_loud_but_unclipped_is_healthy() -> None:
    monitor = ConditionMonitor(FORMAT)
    square = np.where(RNG.normal(size=16000 * 15) > 0, 32_000, -32_000).astype("<i2").tobytes()
    assert state(push(monitor, square)) == "healthy"


def test_problems_are_one_line() -> None:
    monitor = ConditionMonitor(FORMAT)
    condition = push(monitor, zeros(15))
    assert condition is not None
    assert condition.problem
    assert "\n" not in condition.problem


@given(st.lists(st.integers(501, 40_000), min_size=1, max_size=4))
@settings(max_examples=20, deadline=None)
def test_judgement_does_not_depend_on_how_the_audio_is_cut(sizes: list[int]) -> None:
    pcm = noise(2) + zeros(12) + noise(1.5) + noise(0.5) * 22
    expected = ConditionMonitor(FORMAT)
    expected.push(pcm)
    monitor = ConditionMonitor(FORMAT)
    at = turn = 0
    while at < len(pcm):
        size = sizes[turn % len(sizes)]
        monitor.push(pcm[at : at + size])
        at, turn = at + size, turn + 1
    assert state(monitor.condition) == "frozen"
    assert monitor.condition == expected.condition
