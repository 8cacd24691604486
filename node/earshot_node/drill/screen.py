"""Keeps a drill's siren from the household: what follows from it is held back, a real siren that outlasts it is not.

An event that begins while a drill runs is held. If it ends before the drill's time is over, it was the drill's. If it
still lasts then, something else sounds as well: it is let through as an event that begins now.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from earshot_node.contract.messages import EventMessage
from earshot_node.contract.names import SIREN
from earshot_node.drill.injector import Injection
from earshot_node.inference_thread import Step
from earshot_node.listener import Heard

AFTER_S: Final = 2.0
"""After the siren and the time in which the detector bridges gaps: its memory has faded, its event has ended."""
_IDS_KEPT: Final = 50


@dataclass(slots=True)
class Hold:
    """What a drill keeps back.

    Attributes:
        injection: the siren.
        grace_s: audio behind the siren's end in which its event may still last or even begin.
        onset: the first siren that was detected.
        on_onset: called with it, once.
        events: that have begun and not ended, by id.
    """

    injection: Injection
    grace_s: float
    on_onset: Callable[[EventMessage], None]
    onset: EventMessage | None = None
    events: dict[str, EventMessage] = field(default_factory=dict)
    released: bool = False


class Screen:
    """Between the inference thread's steps and everybody who takes them; lives in the event loop.

    Args:
        hop_s: seconds between decisions.
        clock: wall time.
    """

    def __init__(self, hop_s: float, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._hop_s = hop_s
        self._clock = clock
        self._hold: Hold | None = None
        self._heard_s: dict[str, float] = {}
        self._open: dict[str, str] = {}
        self._kept_back: deque[str] = deque(maxlen=_IDS_KEPT)

    def is_sounding(self, source: str) -> bool:
        """Whether an event of the source is open that the household knows of."""
        return source in self._open.values()

    def heard_s(self, source: str) -> float:
        """Audio of a source that was judged since the node's start."""
        return self._heard_s.get(source, 0.0)

    def begin(self, hold: Hold) -> None:
        """Hold back what begins from now on."""
        self._hold = hold

    def is_over(self, hold: Hold) -> bool:
        """Whether all that can follow from the siren has been judged."""
        end_s = hold.injection.end_s
        return end_s is not None and self.heard_s(hold.injection.source) >= end_s + hold.grace_s

    def end(self) -> None:
        """Let through what still lasts, with the next step, and hold back nothing more."""
        if self._hold is not None:
            self._hold.released = True

    def pass_on(self, step: Step) -> Step:
        """Return the step without what belongs to a drill."""
        heard = tuple(self._pass_on(one) for one in step.heard)
        if self._hold is not None and self._hold.released:
            heard = (*heard, *self._release(self._hold))
            self._hold = None
        companion = step.companion
        if companion is not None and self._hold is not None:
            companion = replace(companion, events=())
        return replace(step, heard=heard, companion=companion)

    def _pass_on(self, heard: Heard) -> Heard:
        hops = sum(count for _, count in heard.levels_dbfs)
        self._heard_s[heard.source] = self.heard_s(heard.source) + hops * self._hop_s
        hold = self._hold
        events = tuple(event for event in heard.events if not self._holds(hold, event))
        for event in events:
            if event.phase == "onset":
                self._open[event.id] = event.source
            else:
                self._open.pop(event.id, None)
        if hold is not None:
            hold.events.update({event.id: event for event in heard.named if event.id in hold.events})
        clips = tuple(clip for clip in heard.clips if clip.event.id not in self._kept_back)
        sketches = tuple(sketch for sketch in heard.sketches if sketch.event.id not in self._kept_back)
        named = tuple(event for event in heard.named if event.id in self._open)
        heard = replace(heard, events=events, named=named, clips=clips, sketches=sketches)
        if hold is not None and hold.injection.source == heard.source:
            heard = replace(heard, levels_dbfs=(), peaks={})
        return heard

    def _holds(self, hold: Hold | None, event: EventMessage) -> bool:
        if hold is None or event.source != hold.injection.source:
            return False
        if event.phase == "offset":
            return hold.events.pop(event.id, None) is not None
        self._kept_back.append(event.id)
        hold.events[event.id] = event
        if event.event_type == SIREN and hold.onset is None:
            hold.onset = event
            hold.on_onset(event)
        return True

    def _release(self, hold: Hold) -> list[Heard]:
        """Its clip and its pictures hold the drill's siren as well: they stay back."""
        events = tuple(event.model_copy(update={"decided": self._clock()}) for event in hold.events.values())
        for event in events:
            self._open[event.id] = event.source
        return [Heard(hold.injection.source, events)] if events else []
