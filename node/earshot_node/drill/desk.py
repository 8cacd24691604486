"""Runs drills: one at a time, on command and by schedule. Lives in the event loop."""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from earshot_node.audio.intake import SourceStatus
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.drill import DrillResult
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.messages import Command, DrillCommand, EventMessage
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.drill.injector import Injection, Injector
from earshot_node.drill.results import DrillResults
from earshot_node.drill.schedule import next_due
from earshot_node.drill.screen import AFTER_S, Hold, Screen
from earshot_node.drill.siren import LENGTH_S, drill_siren
from earshot_node.errors import EarshotError, OperatorError
from earshot_node.health import DEAF_STATES
from earshot_node.mqtt.connection import Delivery, Outcome

if TYPE_CHECKING:
    from earshot_node.inference_thread import BlockSource

_log = logging.getLogger(__name__)

BEGIN_WITHIN_S: Final = 10.0
PUBLISH_WITHIN_S: Final = 10.0
SPARE_S: Final = 20.0
"""For a machine that is behind with its work."""
_LOOK_EVERY_S: Final = 0.1
_TOO_LATE_S: Final = 3600.0


class Telling(Protocol):
    """The part of the publisher that drills need."""

    @property
    def problem(self) -> str:
        """Why the broker is not reached, one line; empty when it is."""

    def deliver(self, topic: Topic, payload: bytes) -> asyncio.Future[Delivery]:
        """Send a message once; the result says what became of it."""

    def publish_retained(self, topic: Topic, payload: bytes) -> None:
        """Tell something that readers who come later want to know."""


@dataclass(slots=True)
class _Way:
    """How far the alarm came."""

    detected_s: float | None = None
    alarm_s: float | None = None
    refusal: str = ""


class Drills:
    """Plays a siren to the node and follows it to the broker.

    Attributes:
        injector: between microphones and model.
        screen: between model and household.

    Args:
        config: the node's.
        state_dir: where results are kept.
        blocks: from the microphones.
        manifest: of the model that begins; all have its hop.
        telling: to the broker.
        status: how a source is.
        point: by what a source's sirens are decided now; None if they are not listened for.
    """

    def __init__(
        self,
        config: NodeConfig,
        state_dir: Path,
        blocks: "BlockSource",
        manifest: BundleManifest,
        telling: Telling,
        status: Callable[[str], SourceStatus],
        point: Callable[[str], OperatingPoint | None],
    ) -> None:
        self._config = config
        self.injector = Injector(blocks, manifest.hop_samples)
        self.screen = Screen(manifest.hop_s)
        self._telling = telling
        self._status = status
        self._point = point
        self._topics = NodeTopics(config.mqtt.prefix, config.node.id)
        self._sources = [source.id for source in config.sources]
        self._results = DrillResults(state_dir / "drills.json")
        self._running = False
        for source in self._sources:
            if source in self._results.by_source:
                self._tell(self._results.by_source[source])

    @property
    def problems(self) -> list[str]:
        """One line for each source whose last drill has failed."""
        last = [result for source, result in self._results.by_source.items() if source in self._sources]
        return [f"{one.source}: drill failed: {one.reason}" for one in last if one.outcome == "failed"]

    async def start(self, command: Command) -> None:
        """Do what the command `drill` asks for.

        Raises:
            OperatorError: there is nothing to drill, or not now.
        """
        if not isinstance(command, DrillCommand):
            raise OperatorError("drill: expected source and level")
        source = command.source or (self._sources[0] if len(self._sources) == 1 else "")
        if source not in self._sources:
            raise OperatorError(f"drill: name one of the sources {', '.join(self._sources)}")
        await self.run(source, command.level_dbfs, command.id)

    async def run(self, source: str, level_dbfs: float | None = None, drill_id: str = "") -> DrillResult:
        """Drill one source, tell the result and return it; takes about a quarter of a minute.

        Raises:
            OperatorError: a siren sounds, another drill runs, or sirens are not listened for.
        """
        point = self._point(source)
        if point is None:
            raise OperatorError(f"drill: detection of sirens is switched off for {source}; switch it on first")
        if self._running:
            raise OperatorError("drill: another one runs; wait for its end")
        if self.screen.is_sounding(source):
            raise OperatorError(f"drill: a siren sounds at {source} now; try again later")
        self._running = True
        try:
            level = self._config.drill.level_dbfs if level_dbfs is None else level_dbfs
            result = await self._play(source, level, drill_id or uuid.uuid4().hex, point)
        finally:
            self.injector.stop()
            self.screen.end()
            self._running = False
        await asyncio.to_thread(self._results.put, result)
        self._tell(result)
        _log.log(
            logging.INFO if result.outcome == "passed" else logging.WARNING,
            "drill: %s %s",
            source,
            f"passed, alarm after {result.alarm_s:.1f} s" if result.alarm_s is not None else f"failed: {result.reason}",
        )
        return result

    async def run_weekly(self, now: Callable[[], datetime] = lambda: datetime.now().astimezone()) -> None:
        """Drill every source each week when it is due, for ever; returns at once where no time is configured."""
        weekly = self._config.drill.weekly
        while weekly:
            due = next_due(weekly, now())
            if await _slept_until(due, now):
                for source in self._sources:
                    try:
                        await self.run(source)
                    except EarshotError as error:
                        _log.info("%s", error)

    async def _play(self, source: str, level_dbfs: float, drill_id: str, point: OperatingPoint) -> DrillResult:
        siren = await asyncio.to_thread(drill_siren, level_dbfs)
        way, telling = _Way(), set[asyncio.Task[None]]()
        injection = self.injector.begin(source, siren)

        def detected(event: EventMessage) -> None:
            way.detected_s = _since(injection, event.decided)
            telling.add(asyncio.create_task(self._alarm(injection, event, way), name=f"drill {drill_id}"))

        hold = Hold(injection, point.bridging_s + AFTER_S, detected)
        self.screen.begin(hold)
        deaf = self._deafness(source)
        begun = await _within(BEGIN_WITHIN_S, lambda: injection.stream is not None)
        if begun:
            await _within(LENGTH_S + hold.grace_s + SPARE_S, lambda: self.screen.is_over(hold) or injection.interrupted)
        if telling:
            await asyncio.wait(telling)
        deaf = deaf or self._deafness(source) or self._silence(injection)
        heard = not deaf and injection.end_s is not None
        return DrillResult(
            id=drill_id,
            source=source,
            outcome="passed" if heard and way.alarm_s is not None else "failed",
            heard=heard,
            detected=hold.onset is not None,
            published=way.alarm_s is not None,
            detected_s=way.detected_s,
            alarm_s=way.alarm_s if heard else None,
            level_dbfs=level_dbfs,
            background_dbfs=None if injection.background_dbfs is None else round(injection.background_dbfs, 1),
            confidence=None if hold.onset is None else hold.onset.confidence,
            reason=deaf or self._reason(injection, hold, way),
            event="" if hold.onset is None else hold.onset.id,
            time=datetime.now(UTC),
        )

    async def _alarm(self, injection: Injection, event: EventMessage, way: _Way) -> None:
        """Tell the broker, as of any siren but on a topic that alarms nobody."""
        marked = event.model_copy(update={"drill": True})
        try:
            sent = self._telling.deliver(self._topics.drill(event.source, event.event_type), marked.encode())
            delivery = await asyncio.wait_for(sent, PUBLISH_WITHIN_S)
        except TimeoutError:
            way.refusal = "no acknowledgement"
            return
        if delivery.outcome is Outcome.ACKNOWLEDGED:
            way.alarm_s = round(max(0.0, time.monotonic() - injection.begun_monotonic_s), 2)
        else:
            way.refusal = delivery.reason or delivery.outcome.value

    def _deafness(self, source: str) -> str:
        status = self._status(source)
        if status.state in DEAF_STATES or status.state == "ended":
            return f"{source} does not hear: {status.problem or status.state}"
        return ""

    def _silence(self, injection: Injection) -> str:
        if injection.stream is None:
            return f"no audio came from {injection.source}; see its health"
        if injection.interrupted or injection.end_s is None:
            return f"audio of {injection.source} broke off meanwhile; see its health"
        return ""

    def _reason(self, injection: Injection, hold: Hold, way: _Way) -> str:
        if hold.onset is None:
            background = injection.background_dbfs
            over = "" if background is None else f" over a background of {background:.0f} dBFS"
            return f"the siren was not detected{over}; raise the sensitivity, or drill.level_dbfs if sirens are louder"
        if way.alarm_s is None:
            return f"the broker did not take the alarm: {self._telling.problem or way.refusal}"
        return ""

    def _tell(self, result: DrillResult) -> None:
        self._telling.publish_retained(self._topics.drill_result(result.source), result.encode())


async def _slept_until(due: datetime, now: Callable[[], datetime]) -> bool:
    """Return when it is `due`; False if the machine slept through it."""
    while True:
        left_s = (due - now()).total_seconds()
        if left_s <= 0:
            return left_s > -_TOO_LATE_S
        await asyncio.sleep(min(30.0, left_s))


async def _within(timeout_s: float, condition: Callable[[], bool]) -> bool:
    """Return whether `condition` has come true within a time."""
    loop = asyncio.get_running_loop()
    end_s = loop.time() + timeout_s
    while not condition():
        if loop.time() >= end_s:
            return False
        await asyncio.sleep(_LOOK_EVERY_S)
    return True


def _since(injection: Injection, decided: datetime | None) -> float | None:
    if decided is None:
        return None
    return round(max(0.0, decided.timestamp() - injection.begun_wall_s), 2)
