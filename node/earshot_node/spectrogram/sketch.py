"""When pictures of events are taken, and of what. Runs in the inference thread; drawing is somebody else's."""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.manifest import MEL_RANGE_HZ, MelRange
from earshot_node.contract.messages import EventMessage
from earshot_node.spectrogram.memory import Excerpt, FrameMemory

BEFORE_S: Final = 3.0
AFTER_S: Final = 1.0
LONGEST_S: Final = 24.0
EARLY_AFTER_S: Final = 2.0
"""After the onset was decided: soon enough for a notification to wait for it, late enough to show a siren's pitch."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What one picture shows.

    Attributes:
        event: the latest message about it.
        excerpt: the frames around it, a longer event's last ones.
        onset_s: stream time of its onset.
        offset_s: of its offset; None while it lasts.
    """

    event: EventMessage
    excerpt: Excerpt
    onset_s: float
    offset_s: float | None


@dataclass(slots=True)
class _Open:
    event: EventMessage
    onset_s: float
    due_s: float
    taken: bool = field(default=False)


class Sketcher:
    """Takes two sketches of each event of one source: EARLY_AFTER_S after its onset was decided, and at its offset."""

    def __init__(self) -> None:
        self._memory = FrameMemory()
        self._open: dict[str, _Open] = {}

    def reset(self) -> None:
        """Another stream begins."""
        self._memory.reset()
        self._open.clear()

    def push(
        self, begin_s: float, log_mel: NDArray[np.float32], hop_s: float, range_hz: MelRange = MEL_RANGE_HZ
    ) -> list[Sketch]:
        """Take float32[frames, mels], one each `hop_s`; return the sketches that are due with them."""
        self._memory.push(begin_s, log_mel, hop_s, range_hz)
        sketches: list[Sketch] = []
        for one in self._open.values():
            if not one.taken and self._memory.end_s >= one.due_s:
                one.taken = True
                sketches += self._sketch(one.event, one.onset_s, None)
        return sketches

    def begin(self, event: EventMessage, onset_s: float, decided_s: float) -> None:
        """An event has begun at `onset_s`, which was decided at `decided_s` of the stream."""
        self._open[event.id] = _Open(event, onset_s, decided_s + EARLY_AFTER_S)

    def update(self, event: EventMessage) -> None:
        """More is known of an event that lasts."""
        if event.id in self._open:
            self._open[event.id].event = event

    def end(self, event: EventMessage, offset_s: float) -> list[Sketch]:
        """An event that has begun has ended at `offset_s`."""
        one = self._open.pop(event.id, None)
        return self._sketch(event, one.onset_s, offset_s) if one is not None else []

    def _sketch(self, event: EventMessage, onset_s: float, offset_s: float | None) -> list[Sketch]:
        end_s = self._memory.end_s if offset_s is None else offset_s + AFTER_S
        excerpt = self._memory.excerpt(max(onset_s - BEFORE_S, end_s - LONGEST_S), end_s)
        return [] if excerpt is None else [Sketch(event, excerpt, onset_s, offset_s)]
