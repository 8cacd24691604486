"""A session of takes: countdown, recording, keep or redo, as often as wanted. Knows neither terminal nor microphone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Literal, Protocol

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import SourceError
from earshot_node.recordings.studio import Studio, TakeMade
from earshot_node.recordings.take import Progress, Warning_, warnings

Verdict = Literal["keep", "keep_and_quit", "redo", "drop", "quit"]

_KEEPING = ("keep", "keep_and_quit")


class Desk(Protocol):
    """Shows a session to a person, or to nobody, and asks what to do.

    Attributes:
        pauses: `ask` lets the gap pass after a take without warnings, so that it can be taken back.
    """

    pauses: bool

    def show(self, number: int, progress: Progress) -> None:
        """A take goes on."""

    def ask(self, number: int, info: RecordingInfo, found: tuple[Warning_, ...]) -> Verdict:
        """Return what to do with a complete take: `drop` gives it up and goes on, `redo` makes it once more."""

    def kept(self, number: int, info: RecordingInfo) -> None:
        """A take is a recording now."""

    def trouble(self, number: int, problem: str) -> Verdict:
        """A take failed; `redo` tries again, `quit` ends."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What to record.

    Attributes:
        source: the source's id.
        seconds: length of each take.
        count: how many.
        gap_s: pause between two.
        background: takes may be quiet.
        countdown_s: before the first take, and whenever a person has to get ready again.
    """

    source: str
    seconds: float
    count: int
    gap_s: float
    background: bool
    countdown_s: float = 3.0


@dataclass(slots=True)
class Session:
    """Makes the takes of a plan.

    Args:
        studio: makes takes.
        desk: shows and asks.
        plan: what to record.
        labelling: gives the labelling of a take that is kept now.
    """

    studio: Studio
    desk: Desk
    plan: Plan
    labelling: Callable[[], Labelling]
    recorded: list[RecordingInfo] = field(default_factory=list)
    _suspicious: bool = False

    def run(self) -> list[RecordingInfo]:
        """Record until all takes are kept, dropped or the person ends it; return what was kept."""
        number, countdown_s = 1, self.plan.countdown_s
        while number <= self.plan.count:
            verdict = self._one(number, countdown_s)
            if verdict in ("quit", "keep_and_quit"):
                break
            countdown_s = self._pause_s(verdict)
            number += verdict != "redo"
        return self.recorded

    def _pause_s(self, verdict: Verdict) -> float:
        if verdict == "redo" or (self._suspicious and self.desk.pauses):
            return self.plan.countdown_s
        return 0.0 if self.desk.pauses else self.plan.gap_s

    def _one(self, number: int, countdown_s: float) -> Verdict:
        try:
            made = self._take(number, countdown_s)
        except SourceError as error:
            return self.desk.trouble(number, str(error))
        verdict: Verdict | None = None
        try:
            found = warnings(made.info, background=self.plan.background)
            self._suspicious = bool(found)
            verdict = self.desk.ask(number, made.info, found)
            if verdict in _KEEPING:
                info = self.studio.keep(made.take_id, self.labelling())
                self.recorded.append(info)
                self.desk.kept(number, info)
        finally:
            if verdict not in _KEEPING:
                self.studio.drop(made.take_id)
        return verdict

    def _take(self, number: int, countdown_s: float) -> TakeMade:
        steps: Iterator[Progress | TakeMade] = self.studio.record(self.plan.source, self.plan.seconds, countdown_s)
        for step in steps:
            if isinstance(step, TakeMade):
                return step
            self.desk.show(number, step)
        raise SourceError(f"{self.plan.source}: the recording broke off")
