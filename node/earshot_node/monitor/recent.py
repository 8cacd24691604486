"""What a source gave lately: level, posteriors, open events. Counts frames, knows no clock."""

from collections import deque
from collections.abc import Iterable, Sequence
from math import ceil

from earshot_node.inference.facts import Fact, Frames, Offset, Onset, StreamReset


class Recent:
    """Remembers the posteriors of the last `span_s` seconds.

    Attributes:
        heard_s: audio heard so far.
        level_dbfs: level of the latest frames; None before any.
        posteriors: latest posterior by label.
        open_since_s: stream time of the onset of the events that last, by label.
    """

    def __init__(self, labels: Sequence[str], hop_s: float, span_s: float = 60.0) -> None:
        self.span_s = span_s
        self.heard_s = 0.0
        self.level_dbfs: float | None = None
        self.posteriors: dict[str, float] = {}
        self.open_since_s: dict[str, float] = {}
        self._labels = tuple(labels)
        self._hop_s = hop_s
        self._frames: deque[tuple[float, ...]] = deque(maxlen=ceil(span_s / hop_s))

    def push(self, facts: Iterable[Fact]) -> None:
        """Take the pipeline's facts."""
        for fact in facts:
            match fact:
                case Frames():
                    rows = fact.posteriors.tolist()
                    self._frames.extend(tuple(row) for row in rows)
                    self.heard_s += len(rows) * self._hop_s
                    self.level_dbfs = fact.level_dbfs
                    if rows:
                        self.posteriors = dict(zip(self._labels, rows[-1], strict=True))
                case Onset():
                    self.open_since_s[fact.event.label] = fact.event.onset_s
                case Offset():
                    self.open_since_s.pop(fact.event.label, None)
                case StreamReset():
                    self.open_since_s.clear()

    def history(self, label: str, columns: int) -> list[float | None]:
        """Return the highest posterior of each of `columns` parts of the span, oldest first; None before any audio."""
        column = self._labels.index(label)
        capacity = self._frames.maxlen or 1
        missing = capacity - len(self._frames)
        values: list[float | None] = [None] * columns
        for index, frame in enumerate(self._frames):
            at = (missing + index) * columns // capacity
            values[at] = max(values[at] or 0.0, frame[column])
        return values
