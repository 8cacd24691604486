"""Listens to one source with the node's own intake and pipeline, and shows it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.contract.config import Source
from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.facts import Fact, KindTold, Offset, Onset, SoundEvent
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.monitor.picture import draw
from earshot_node.monitor.recent import Recent

_WAIT_S: Final = 0.1
_REDRAWS_PER_S: Final = 10


@dataclass(frozen=True, slots=True)
class Watched:
    """What to listen to, and how to decide: operating points by label."""

    source: Source
    bundle: Bundle
    points: Mapping[str, OperatingPoint]


class Watch:
    """Shows one source until it ends, `limit_s` is over or the user interrupts."""

    def __init__(self, watched: Watched, console: Console, limit_s: float | None = None) -> None:
        manifest = watched.bundle.manifest
        self._watched = watched
        self._console = console
        self._limit_s = limit_s
        self._recent = Recent(manifest.labels, manifest.hop_s)
        self._pipeline = Pipeline(StreamingModel(manifest, watched.bundle.model), lambda _: watched.points)
        self._intake = Intake([watched.source], self._tell_status)
        self._live: Live | None = None
        self._told_second = 0

    def run(self) -> None:
        """Listen and show."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=_REDRAWS_PER_S, transient=True)
            self._live.start()
        self._intake.start()
        try:
            self._follow()
        finally:
            self._intake.stop()
            if self._live is not None:
                self._live.stop()

    def _follow(self) -> None:
        begin_s = time.monotonic()
        while not self._intake.ended:
            if self._limit_s is not None and time.monotonic() - begin_s >= self._limit_s:
                break
            self._intake.wait(_WAIT_S)
            self._hear(self._pipeline.push(self._intake.take()))
        self._hear(self._pipeline.flush(self._watched.source.id))

    def _hear(self, facts: list[Fact]) -> None:
        self._recent.push(facts)
        for fact in facts:
            if isinstance(fact, Onset):
                self._tell(fact.event.onset_s, fact.event, "begins, posterior")
            elif isinstance(fact, KindTold):
                self._line(f"{fact.decided_s:8.2f} s  {SIREN} is {fact.kind}")
            elif isinstance(fact, Offset):
                self._tell(fact.event.offset_s or 0.0, fact.event, "ends, peak")
        if self._live is not None:
            rows = draw(self._recent, self._watched.points, self._console.width)
            self._live.update(Group(*(Text(row, no_wrap=True, overflow="crop") for row in rows)))
        elif int(self._recent.heard_s) > self._told_second:
            self._told_second = int(self._recent.heard_s)
            self._line(self._plain_line())

    def _tell(self, time_s: float, event: SoundEvent, what: str) -> None:
        kind = f", {event.kind}" if event.kind not in (None, "unknown") else ""
        self._line(f"{time_s:8.2f} s  {event.label} {what} {event.peak:.2f}{kind}")

    def _plain_line(self) -> str:
        recent = self._recent
        posteriors = "  ".join(f"{label} {recent.posteriors.get(label, 0.0):.2f}" for label in self._watched.points)
        return f"{recent.heard_s:8.2f} s  level {recent.level_dbfs:6.1f} dBFS  {posteriors}"

    def _line(self, text: str) -> None:
        self._console.print(Text(text))

    def _tell_status(self, source: str, status: SourceStatus) -> None:
        self._line(f"{source}: {status.state}{f', {status.problem}' if status.problem else ''}")
