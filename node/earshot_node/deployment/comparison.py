"""Compares what two models hear on the same audio, event by event. Pure: wall times come with the events."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from earshot_node.companion_listener import CompanionEvent
from earshot_node.contract.deployment import Disagreement
from earshot_node.contract.messages import EventMessage

COLLAR_S: Final = 2.0
"""Events that far apart still count as one: two models do not begin and end at the same frame."""
LATEST_KEPT: Final = 20

Who = Literal["active", "candidate"]


@dataclass(frozen=True, slots=True)
class _Event:
    id: str
    who: Who
    source: str
    label: str
    onset: datetime
    offset: datetime | None
    peak: float
    matched: bool = False

    def overlaps(self, other: "_Event") -> bool:
        """Whether both may be the same sound; one that lasts has no end yet."""
        collar = timedelta(seconds=COLLAR_S)
        here = (self.source, self.label) == (other.source, other.label)
        begins_in_time = other.offset is None or self.onset <= other.offset + collar
        return here and begins_in_time and (self.offset is None or other.onset <= self.offset + collar)


class Comparison:
    """Feed it both models' events as they come; `settle` counts those that nobody else can hear any more."""

    def __init__(self) -> None:
        self._open: dict[tuple[Who, str], _Event] = {}
        self.agreed = 0
        self.only: dict[Who, int] = {"active": 0, "candidate": 0}
        self.latest: deque[Disagreement] = deque(maxlen=LATEST_KEPT)

    def active(self, events: Iterable[EventMessage]) -> None:
        """Take events of the active model."""
        for one in events:
            self._take(_Event(one.id, "active", one.source, one.event_type, one.onset, one.offset, one.peak))

    def candidate(self, events: Iterable[CompanionEvent]) -> None:
        """Take events of the candidate."""
        for one in events:
            self._take(_Event(one.id, "candidate", one.source, one.label, one.onset, one.offset, one.peak))

    def settle(self, now: datetime, patience_s: float) -> None:
        """Decide about events that ended `patience_s` ago: the other model has told by then what it heard."""
        limit = now - timedelta(seconds=patience_s)
        ready = [one for one in self._open.values() if one.offset is not None and one.offset <= limit]
        for event in sorted(ready, key=lambda one: one.onset):
            if any(one.offset is None and one.overlaps(event) for one in self._others(event)):
                continue  # the other model's event still lasts
            del self._open[event.who, event.id]
            self._count(event)

    def _take(self, event: _Event) -> None:
        known = self._open.get((event.who, event.id))
        event = replace(event, matched=known is not None and known.matched)
        for other in self._others(event):
            if other.overlaps(event):
                self._open[other.who, other.id] = replace(other, matched=True)
                event = replace(event, matched=True)
        self._open[event.who, event.id] = event

    def _others(self, event: _Event) -> list[_Event]:
        return [one for one in self._open.values() if one.who != event.who]

    def _count(self, event: _Event) -> None:
        if event.matched:
            self.agreed += event.who == "active"
            return
        self.only[event.who] += 1
        assert event.offset is not None
        self.latest.append(
            Disagreement(
                id=event.id,
                heard_by=event.who,
                source=event.source,
                label=event.label,
                onset=event.onset,
                offset=event.offset,
                peak=min(1.0, max(0.0, round(event.peak, 4))),
            )
        )
