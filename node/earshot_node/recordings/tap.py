"""Lets others hear the blocks that go to inference, so that nobody needs the microphone a second time."""

import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from earshot_node.audio.block import Block

if TYPE_CHECKING:
    from earshot_node.inference_thread import BlockSource

Deliver = Callable[[Block], None]


class StreamTap:
    """Hands each block to whoever listens to its source; costs nothing while nobody does. Safe from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, list[Deliver]] = defaultdict(list)

    def push(self, block: Block) -> None:
        """Hand a block on, in the caller's thread; listeners must not block."""
        with self._lock:
            listeners = tuple(self._listeners.get(block.source, ()))
        for deliver in listeners:
            deliver(block)

    @contextmanager
    def listening(self, source: str, deliver: Deliver) -> Iterator[None]:
        """Have `deliver` called with every block of `source` inside the `with`."""
        with self._lock:
            self._listeners[source].append(deliver)
        try:
            yield
        finally:
            with self._lock:
                self._listeners[source].remove(deliver)


class TappedBlocks:
    """A source of blocks whose blocks also go through a tap."""

    def __init__(self, blocks: "BlockSource", tap: StreamTap) -> None:
        self._blocks = blocks
        self._tap = tap

    def wait(self, timeout_s: float) -> bool:
        """See `BlockSource.wait`."""
        return self._blocks.wait(timeout_s)

    def take(self) -> list[Block]:
        """See `BlockSource.take`."""
        blocks = self._blocks.take()
        for block in blocks:
            self._tap.push(block)
        return blocks
