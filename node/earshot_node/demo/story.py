"""What sounded, what was heard, and how the two fit. Times are seconds from the beginning of the audio."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from earshot_node.contract.names import SirenKind

EARLY_S: Final = 2.0
"""An event may begin this long before the siren's level passes the background's, and still be the siren."""
LATE_S: Final = 1.0
"""Echo may let an event begin this long after the siren sank below the background."""


@dataclass(frozen=True, slots=True)
class Truth:
    """A sound in the scene."""

    onset_s: float
    offset_s: float
    is_siren: bool
    note: str


@dataclass(slots=True)
class Heard:
    """An event as the subscriber got it.

    Attributes:
        onset_s: when it began, says the node.
        received_s: when the message came.
        delay_s: from the sample that decided to the message.
        offset_s: when it ended; None while it lasts.
        kind: of a siren, once it is known.
    """

    onset_s: float
    received_s: float
    delay_s: float
    label: str
    confidence: int
    offset_s: float | None = None
    kind: SirenKind | None = None

    def overlaps(self, truth: Truth) -> bool:
        """Whether both sound at some moment."""
        return self.onset_s <= truth.offset_s and (self.offset_s is None or self.offset_s >= truth.onset_s)

    def begins_with(self, truth: Truth) -> bool:
        """Whether it can have been set off by this sound."""
        return truth.onset_s - EARLY_S <= self.onset_s <= truth.offset_s + LATE_S


@dataclass(slots=True)
class Story:
    """The audio's length, what sounds in it (nothing when unknown), and what was heard so far."""

    duration_s: float
    truths: Sequence[Truth] = ()
    heard: dict[str, Heard] = field(default_factory=dict)

    @property
    def sirens(self) -> list[Truth]:
        """Sounds that should be heard."""
        return [truth for truth in self.truths if truth.is_siren]

    @property
    def traps(self) -> list[Truth]:
        """Sounds that should not."""
        return [truth for truth in self.truths if not truth.is_siren]

    def found(self) -> list[tuple[Truth, Heard]]:
        """Return each siren that was heard, with the first event that is it."""
        pairs = []
        for siren in self.sirens:
            fitting = [event for event in self.heard.values() if event.overlaps(siren)]
            if fitting:
                pairs.append((siren, min(fitting, key=lambda event: event.received_s)))
        return pairs

    def siren_at(self, event: Heard) -> Truth | None:
        """Return the siren that set the event off, None for a false alarm."""
        return next((siren for siren in self.sirens if event.begins_with(siren)), None)

    def false_alarms(self) -> list[Heard]:
        """Return events that no siren set off."""
        return [event for event in self.heard.values() if self.siren_at(event) is None]

    def ignored_traps(self) -> list[Truth]:
        """Return traps without a false alarm."""
        return [trap for trap in self.traps if not any(event.overlaps(trap) for event in self.false_alarms())]

    def median_notice_s(self) -> float | None:
        """Median time from a siren's rise above the background to the message; never below 0 for one siren."""
        return _median([max(0.0, event.received_s - siren.onset_s) for siren, event in self.found()])

    def median_delay_s(self) -> float | None:
        """Median time from the deciding sample to the message, of all events."""
        return _median([event.delay_s for event in self.heard.values()])


def _median(values: list[float]) -> float | None:
    return median(values) if values else None
