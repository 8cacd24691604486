"""Wall time of a position in a stream."""

import numpy as np
import pytest

from earshot_node.audio.block import Block
from earshot_node.inference.timing import StreamClock


def push(clock: StreamClock, seconds: int, wall_of_second: float, drift: float = 1.0) -> None:
    for second in range(seconds):
        samples = np.zeros(16000, np.float32)
        clock.push(Block("mic", 0, second * 16000, samples, wall_of_second + (second + 1) * drift, 0.0))


def test_time_inside_a_block_is_counted_back_from_its_end() -> None:
    clock = StreamClock()
    push(clock, 3, 1000.0)
    assert clock.wall_s(1.25) == pytest.approx(1001.25)


def test_drift_of_the_sound_card_does_not_add_up() -> None:
    clock = StreamClock()
    push(clock, 100, 1000.0, drift=1.001)
    assert clock.wall_s(99.5) == pytest.approx(1000 + 100 * 1.001 - 0.5)


def test_time_after_the_last_block_counts_on() -> None:
    clock = StreamClock()
    push(clock, 2, 1000.0)
    assert clock.wall_s(2.04) == pytest.approx(1002.04)


def test_small_blocks_are_remembered_as_long_as_large_ones() -> None:
    clock = StreamClock(span_s=60)
    for number in range(100 * 25):
        wall_s = 1000 + (number + 1) * 0.04 + (0.5 if number < 1500 else 0.0)
        clock.push(Block("mic", 0, number * 640, np.zeros(640, np.float32), wall_s, 0.0))
    assert clock.wall_s(50.0) == pytest.approx(1050.5)
    assert clock.wall_s(95.0) == pytest.approx(1095.0)


def test_clock_without_a_block_says_so() -> None:
    with pytest.raises(LookupError):
        StreamClock().wall_s(0.0)
