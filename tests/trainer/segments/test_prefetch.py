import threading
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.segments.prefetch import Prefetcher  # noqa: E402

CPU = torch.device("cpu")


@dataclass
class Numbered:
    step: int

    def tensors(self) -> Iterable["torch.Tensor"]:
        return ()


def test_batches_come_in_order_though_they_are_made_together() -> None:
    together = threading.Barrier(3, timeout=30)

    def make(step: int) -> Numbered:
        together.wait()  # passes only when three batches are being made at once
        return Numbered(step)

    with Prefetcher(make, CPU, workers=3) as batches:
        assert [batches.take(step, end=6).step for step in range(6)] == list(range(6))


def test_nothing_is_made_beyond_the_end_or_further_ahead_than_there_are_workers() -> None:
    made: list[int] = []

    def make(step: int) -> Numbered:
        made.append(step)
        return Numbered(step)

    with Prefetcher(make, CPU, workers=2) as batches:
        batches.take(0, end=9)
    assert set(made) <= {0, 1, 2}
    made.clear()
    with Prefetcher(make, CPU, workers=4) as batches:
        for step in range(3):
            batches.take(step, end=3)
    assert made == [0, 1, 2]


def test_error_while_making_a_batch_is_raised_where_it_is_taken() -> None:
    def make(step: int) -> Numbered:
        if step == 1:
            raise ValueError("broken")
        return Numbered(step)

    with Prefetcher(make, CPU) as batches:
        batches.take(0, end=4)
        with pytest.raises(ValueError, match="broken"):
            batches.take(1, end=4)
