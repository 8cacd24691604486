"""An intake whose blocks and changes of state a test can look at."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from earshot_node.audio.block import Block
from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.contract.config import Source


class Listening:
    """What an intake gave so far."""

    def __init__(self, sources: list[Source], **options: Any) -> None:
        self.blocks: list[Block] = []
        self.changes: list[tuple[str, SourceStatus]] = []
        self._lock = threading.Lock()
        self.intake = Intake(sources, self._remember, **options)

    def _remember(self, source: str, status: SourceStatus) -> None:
        with self._lock:
            self.changes.append((source, status))

    def states(self, source: str) -> list[str]:
        """States of a source in the order they were reported."""
        with self._lock:
            return [status.state for name, status in self.changes if name == source]

    def of(self, source: str) -> list[Block]:
        """Blocks of a source."""
        return [block for block in self.blocks if block.source == source]

    def samples(self, source: str, stream: int = 0) -> np.ndarray:
        """All samples of one stream."""
        return np.concatenate([np.empty(0), *(block.samples for block in self.of(source) if block.stream == stream)])

    def until(self, condition: Callable[[], object], timeout_s: float = 20.0) -> None:
        """Take blocks until the condition holds; fail when it does not in time."""
        deadline = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < deadline, f"not within {timeout_s} s; changes so far: {self.changes}"
            self.intake.wait(0.02)
            self.blocks += self.intake.take()
        self.blocks += self.intake.take()

    def until_state(self, source: str, state: str, timeout_s: float = 20.0) -> SourceStatus:
        """Take blocks until the source is in a state; return its status then."""
        self.until(lambda: self.intake.status(source).state == state, timeout_s)
        return self.intake.status(source)


@contextmanager
def listening(*sources: Source, **options: Any) -> Iterator[Listening]:
    """Start an intake and stop it afterwards."""
    heard = Listening(list(sources), **options)
    heard.intake.start()
    try:
        yield heard
    finally:
        heard.intake.stop()


def assert_continuous(blocks: list[Block]) -> None:
    """Every stream of one source begins at 0 and has no gap; stream numbers and times never go back."""
    for before, after in pairwise(blocks):
        if after.stream == before.stream:
            assert after.start_sample == before.end_sample
            assert not before.last
        else:
            assert (after.stream, after.start_sample) == (before.stream + 1, 0)
        assert after.end_monotonic_s >= before.end_monotonic_s
    assert not blocks or blocks[0].start_sample == 0
