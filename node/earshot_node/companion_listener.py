"""From a companion's facts to events with wall times, for comparison; nobody is told of them as an alarm."""

import contextlib
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from earshot_node.inference.facts import Fact, Offset, Onset

Wall = Callable[[str, int, float], datetime]
"""Turns source, stream and stream time into wall time; LookupError when the stream is forgotten."""


@dataclass(frozen=True, slots=True)
class CompanionEvent:
    """An event that a companion heard; told at its onset and, with the same id, at its offset."""

    id: str
    source: str
    label: str
    onset: datetime
    offset: datetime | None
    peak: float


@dataclass(frozen=True, slots=True)
class CompanionStep:
    """What a companion did since the last step.

    Attributes:
        version: its model's.
        events: onsets and offsets in order.
        heard_s: see `Companion.heard_s`.
        work_s: what it took.
        failure: why it does not run any more.
    """

    version: str
    events: tuple[CompanionEvent, ...]
    heard_s: float
    work_s: float
    failure: Exception | None


class CompanionListener:
    """Gives a companion's events their id and wall time."""

    def __init__(self, wall: Wall) -> None:
        self._wall = wall
        self._open: dict[tuple[str, str], CompanionEvent] = {}

    def hear(self, facts: Iterable[Fact]) -> tuple[CompanionEvent, ...]:
        """Take a step's facts; an offset whose onset was another model's is nobody's, nor what has no time any more."""
        events = []
        for fact in facts:
            with contextlib.suppress(LookupError):
                if isinstance(fact, Onset):
                    events.append(self._begin(fact))
                elif isinstance(fact, Offset):
                    events.append(self._end(fact))
        return tuple(events)

    def _begin(self, fact: Onset) -> CompanionEvent:
        begun = CompanionEvent(
            id=uuid.uuid4().hex,
            source=fact.source,
            label=fact.event.label,
            onset=self._wall(fact.source, fact.stream, fact.event.onset_s),
            offset=None,
            peak=fact.event.peak,
        )
        self._open[fact.source, fact.event.label] = begun
        return begun

    def _end(self, fact: Offset) -> CompanionEvent:
        assert fact.event.offset_s is not None
        begun = self._open.pop((fact.source, fact.event.label))
        end = self._wall(fact.source, fact.stream, fact.event.offset_s)
        return replace(begun, offset=end, peak=fact.event.peak)
