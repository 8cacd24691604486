"""The bounded queue between one source and inference; numbers streams and samples as they are taken."""

import threading
from collections import deque
from dataclasses import dataclass

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples


@dataclass(slots=True)
class _Entry:
    samples: Samples
    end_wall_s: float
    end_monotonic_s: float
    last: bool
    begins_stream: bool


class BlockQueue:
    """Blocks of one source, at most `capacity_s` of audio.

    A block that follows a loss (`break_stream`, or older blocks dropped) begins a new stream with sample 0. All methods
    are safe to call from any thread; `changed` is shared with whoever waits for blocks of several queues.
    """

    def __init__(self, source: str, capacity_s: float, changed: threading.Condition) -> None:
        self._source = source
        self._capacity_samples = int(capacity_s * SAMPLE_RATE_HZ)
        self._changed = changed
        self._entries: deque[_Entry] = deque()
        self._waiting_samples = 0
        self._dropped_samples = 0
        self._delivered_samples = 0
        self._next_begins_stream = True
        self._closed = False
        self._stream = -1
        self._next_sample = 0

    def break_stream(self) -> None:
        """Audio was lost, or the source was opened anew: the next block begins a new stream."""
        with self._changed:
            self._next_begins_stream = True

    def put(self, samples: Samples, end_wall_s: float, end_monotonic_s: float, *, last: bool = False) -> None:
        """Append a block; the oldest ones go and are counted when there is no room."""
        with self._changed:
            self._append(samples, end_wall_s, end_monotonic_s, last)
            while self._waiting_samples > self._capacity_samples and len(self._entries) > 1:
                self._drop_oldest()
            self._changed.notify_all()

    def put_when_room(self, samples: Samples, end_wall_s: float, end_monotonic_s: float, *, last: bool = False) -> bool:
        """Append a block once there is room; false when the queue was closed first."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._has_room(len(samples)))
            if self._closed:
                return False
            self._append(samples, end_wall_s, end_monotonic_s, last)
            self._changed.notify_all()
            return True

    def take(self) -> list[Block]:
        """Remove and return all waiting blocks in order."""
        with self._changed:
            entries, self._entries = self._entries, deque()
            self._waiting_samples = 0
            if entries:
                self._changed.notify_all()
            return [self._numbered(entry) for entry in entries]

    def close(self) -> None:
        """Let go of whoever waits for room."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def dropped_s(self) -> float:
        """Audio dropped for want of room."""
        return self._dropped_samples / SAMPLE_RATE_HZ

    @property
    def delivered_s(self) -> float:
        """Audio appended, less what was dropped."""
        return self._delivered_samples / SAMPLE_RATE_HZ

    def _has_room(self, count: int) -> bool:
        return not self._entries or self._waiting_samples + count <= self._capacity_samples

    def _append(self, samples: Samples, end_wall_s: float, end_monotonic_s: float, last: bool) -> None:
        self._entries.append(_Entry(samples, end_wall_s, end_monotonic_s, last, self._next_begins_stream))
        self._next_begins_stream = last
        self._waiting_samples += len(samples)
        self._delivered_samples += len(samples)

    def _drop_oldest(self) -> None:
        dropped = self._entries.popleft()
        count = len(dropped.samples)
        self._waiting_samples -= count
        self._delivered_samples -= count
        self._dropped_samples += count
        self._entries[0].begins_stream = True

    def _numbered(self, entry: _Entry) -> Block:
        if entry.begins_stream:
            self._stream += 1
            self._next_sample = 0
        start = self._next_sample
        self._next_sample += len(entry.samples)
        return Block(
            self._source, self._stream, start, entry.samples, entry.end_wall_s, entry.end_monotonic_s, entry.last
        )
