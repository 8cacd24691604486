"""Where wall time meets stream time."""

from collections import deque

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block


class StreamClock:
    """Turns a position in one stream into wall time, from the times that its blocks carry.

    A sound card's clock drifts seconds a day, so a position is placed relative to the nearest later block, not to the
    stream's start. Remembers `span_s` of audio.
    """

    def __init__(self, span_s: float = 180.0, every_s: float = 0.5) -> None:
        self._every_samples = int(every_s * SAMPLE_RATE_HZ)
        self._anchors: deque[tuple[int, float]] = deque(maxlen=max(2, int(span_s / every_s)))

    def push(self, block: Block) -> None:
        """Learn the time of the stream's next block."""
        if len(self._anchors) >= 2 and block.end_sample - self._anchors[-2][0] < self._every_samples:
            self._anchors[-1] = (block.end_sample, block.end_wall_s)
        else:
            self._anchors.append((block.end_sample, block.end_wall_s))

    def wall_s(self, stream_s: float) -> float:
        """Return the Unix time of a stream time, in seconds.

        Raises:
            LookupError: no block was pushed yet.
        """
        if not self._anchors:
            raise LookupError("no block of this stream has a time yet")
        sample = stream_s * SAMPLE_RATE_HZ
        later = (anchor for anchor in self._anchors if anchor[0] >= sample)
        end_sample, end_wall_s = next(later, self._anchors[-1])
        return end_wall_s - (end_sample - sample) / SAMPLE_RATE_HZ
