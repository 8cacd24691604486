import threading
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earshot_node.audio.block import Block
from earshot_node.audio.block_queue import BlockQueue


def make_queue(capacity_s: float = 1.0) -> BlockQueue:
    return BlockQueue("hall", capacity_s, threading.Condition())


def put(queue: BlockQueue, value: int, count: int = 1600, *, last: bool = False) -> None:
    queue.put(np.full(count, value, np.float32), 1000.0 + value, float(value), last=last)


def test_blocks_come_out_in_order_and_numbered_without_a_gap() -> None:
    queue = make_queue()
    for value in range(3):
        put(queue, value)
    first = queue.take()
    put(queue, 3)
    blocks = [*first, *queue.take()]
    assert [(b.source, b.stream, b.start_sample) for b in blocks] == [("hall", 0, 1600 * n) for n in range(4)]
    assert [(b.end_wall_s, b.end_monotonic_s) for b in blocks] == [(1000.0 + n, float(n)) for n in range(4)]
    assert queue.take() == []


def test_oldest_is_dropped_and_counted_and_a_new_stream_begins() -> None:
    queue = make_queue()
    put(queue, 0)
    queue.take()
    for value in range(1, 14):
        put(queue, value)
    blocks = queue.take()
    assert [int(block.samples[0]) for block in blocks] == list(range(4, 14))
    assert [(block.stream, block.start_sample) for block in blocks] == [(1, 1600 * n) for n in range(10)]
    assert queue.dropped_s == 0.3
    assert round(queue.delivered_s, 6) == 1.1


def test_reopening_begins_a_new_stream() -> None:
    queue = make_queue()
    queue.break_stream()
    put(queue, 0)
    queue.break_stream()
    put(queue, 1)
    assert [(block.stream, block.start_sample) for block in queue.take()] == [(0, 0), (1, 0)]


def test_block_after_the_last_one_begins_a_new_stream() -> None:
    queue = make_queue()
    put(queue, 0, last=True)
    put(queue, 1)
    assert [(b.stream, b.start_sample, b.last) for b in queue.take()] == [(0, 0, True), (1, 0, False)]


def test_single_block_longer_than_the_queue_is_kept() -> None:
    queue = make_queue(0.1)
    put(queue, 0, 16_000)
    assert [len(block.samples) for block in queue.take()] == [16_000]


def test_back_pressure_waits_for_room_and_drops_nothing() -> None:
    queue = make_queue(0.2)
    everything = [np.full(1600, value, np.float32) for value in range(50)]

    def deliver() -> None:
        for samples in everything:
            assert queue.put_when_room(samples, 0.0, 0.0)

    thread = threading.Thread(target=deliver)
    thread.start()
    taken: list[Block] = []
    while thread.is_alive() or len(queue):
        blocks = queue.take()
        assert len(blocks) <= 2
        taken.extend(blocks)
    thread.join()
    assert [int(block.samples[0]) for block in taken] == list(range(50))
    assert {block.stream for block in taken} == {0}
    assert queue.dropped_s == 0


def test_closing_lets_go_of_whoever_waits_for_room() -> None:
    queue = make_queue(0.1)
    put(queue, 0)
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(queue.put_when_room(np.zeros(1600, np.float32), 0, 0)))
    thread.start()
    queue.close()
    thread.join(5)
    assert answers == [False]


@given(st.lists(st.one_of(st.integers(1, 900), st.just(0), st.just(-1)), max_size=60))
def test_whatever_happens_streams_are_continuous_and_losses_begin_a_new_one(steps: list[int]) -> None:
    """A step: a block of so many samples; 0: take; -1: reopened."""
    queue = BlockQueue("hall", 0.1, threading.Condition())
    taken: list[Block] = []
    position, breaks = 0, []
    for step in [*steps, 0]:
        if step > 0:
            queue.put(np.arange(position, position + step, dtype=np.float32), 0.0, 0.0)
            position += step
        elif step == 0:
            taken.extend(queue.take())
        else:
            queue.break_stream()
            breaks.append(position)
    for before, after in pairwise(taken):
        joins = before.samples[-1] + 1 == after.samples[0] and int(after.samples[0]) not in breaks
        if joins:
            assert (after.stream, after.start_sample) == (before.stream, before.end_sample)
        else:
            assert (after.stream, after.start_sample) == (before.stream + 1, 0)
    total = sum(len(block.samples) for block in taken)
    assert total == round(queue.delivered_s * 16_000)
    assert total + round(queue.dropped_s * 16_000) == position
