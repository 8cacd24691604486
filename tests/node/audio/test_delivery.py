import threading

import numpy as np
import pytest

from earshot_node.audio.backoff import Backoff
from earshot_node.audio.block_queue import BlockQueue
from earshot_node.audio.condition import HEALTHY
from earshot_node.audio.delivery import Delivery
from earshot_node.audio.supervision import Supervision

HOP = np.zeros(640, np.float32)


class FakeClock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 50.0

    def wall(self) -> float:
        return 1_000_000.0 + self.now_s

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def delivery(clock: FakeClock) -> Delivery:
    supervision = Supervision("hall", Backoff(), lambda: None)
    supervision.opening()
    return Delivery(BlockQueue("hall", 10.0, threading.Condition()), supervision, clock, wait_for_room=False)


def test_block_carries_the_time_of_its_last_sample(delivery: Delivery, clock: FakeClock) -> None:
    delivery.put(HOP, HEALTHY, age_s=0.25)
    (block,) = delivery.queue.take()
    assert block.end_monotonic_s == 49.75
    assert block.end_wall_s == 1_000_049.75


def test_times_never_go_back_when_a_burst_leaves_more_pending(delivery: Delivery, clock: FakeClock) -> None:
    for age_s, step_s in ((0.01, 0.0), (0.06, 0.001), (0.03, 0.5)):
        clock.now_s += step_s
        delivery.put(HOP, HEALTHY, age_s=age_s)
    times_s = [block.end_monotonic_s for block in delivery.queue.take()]
    assert times_s == pytest.approx([49.99, 49.99, 50.471])


def test_wall_clock_that_is_set_moves_only_the_wall_time(delivery: Delivery, clock: FakeClock) -> None:
    delivery.put(HOP, HEALTHY)
    clock.wall = lambda: 5.0  # type: ignore[method-assign]
    clock.now_s += 1
    delivery.put(HOP, HEALTHY)
    assert [(block.end_wall_s, block.end_monotonic_s) for block in delivery.queue.take()] == [(1_000_050, 50), (5, 51)]
