"""Notes in the catalogue what nodes tell about models: results, disagreements, how often they alarm."""

import asyncio
import logging
from collections import OrderedDict, defaultdict
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from earshot_node.contract.deployment import InstallResult, ShadowReport
from earshot_node.contract.messages import EventMessage, NodeHealth
from earshot_node.contract.topics import NodeTopics
from earshot_node.errors import EarshotError, MessageError
from earshot_node.mqtt.connection import Received
from earshot_node.mqtt.failure import ConnectError
from earshot_trainer.catalogue.alarms import AlarmRate, Alarms
from earshot_trainer.catalogue.disagreements import Disagreements
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.fleet.link import FleetLink
from earshot_trainer.home.folder import Home

_log = logging.getLogger(__name__)

KEEP_EVERY_S: Final = 60.0
AGAIN_AFTER_S: Final = 30.0
LONGEST_STEP_S: Final = 90.0
"""Nodes tell their health every 30 s; after a longer pause nobody knows whether they listened."""
MOST_EVENTS: Final = 1000


class ModelNotes:
    """Keeps results and disagreements; methods block on the database.

    Args:
        engine: the catalogue.
        prefix: of the topics.
    """

    def __init__(self, engine: Engine, prefix: str) -> None:
        self._releases = Releases(engine)
        self._disagreements = Disagreements(engine)
        self._prefix = prefix

    def filters(self) -> tuple[str, ...]:
        """Return the subscriptions that it needs."""
        every = NodeTopics(self._prefix, "+")
        return (every.model_result().name, every.model_shadow().name)

    def note(self, message: Received) -> None:
        """Take one message of a member; what makes no sense is logged.

        Raises:
            OperatorError: the catalogue cannot be written.
        """
        node = node_of(message, self._prefix)
        topics = NodeTopics(self._prefix, node)
        try:
            if not message.payload:
                return
            if message.topic == topics.model_result().name:
                self._releases.note_result(node, InstallResult.decode(message.payload))
            elif message.topic == topics.model_shadow().name:
                report = ShadowReport.decode(message.payload)
                if new := self._disagreements.note(node, report, datetime.now(UTC)):
                    _log.info("%s: %d new disagreements about %s", node, new, report.candidate)
        except MessageError as error:
            _log.info("%s: makes no sense: %s", message.topic, error)


class AlarmCounter:
    """Counts onsets and listening time between two `take`s. Pure: times come with the messages.

    Args:
        prefix: of the topics.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._seen: OrderedDict[str, None] = OrderedDict()
        self._health: dict[str, NodeHealth] = {}
        self._counted: defaultdict[str, AlarmRate] = defaultdict(AlarmRate)

    def filters(self) -> tuple[str, ...]:
        """Return the subscriptions that it needs."""
        every = NodeTopics(self._prefix, "+")
        return (every.health().name, every.onset("+", "+").name)

    def push(self, message: Received) -> None:
        """Take one message; what makes no sense is passed over."""
        node = node_of(message, self._prefix)
        try:
            if message.topic == NodeTopics(self._prefix, node).health().name:
                self._push_health(node, NodeHealth.decode(message.payload))
            elif message.topic.endswith("/onset"):
                self._push_onset(node, EventMessage.decode(message.payload))
        except MessageError as error:
            _log.debug("%s: makes no sense: %s", message.topic, error)

    def take(self) -> dict[str, AlarmRate]:
        """Return what was counted since the last time."""
        counted, self._counted = dict(self._counted), defaultdict(AlarmRate)
        return counted

    def _push_health(self, node: str, health: NodeHealth) -> None:
        former = self._health.get(node)
        self._health[node] = health
        if former is None or former.state == "starting":
            return
        step_s = (health.time - former.time).total_seconds()
        if 0 < step_s <= LONGEST_STEP_S:
            self._add(node, AlarmRate(0, step_s))

    def _push_onset(self, node: str, event: EventMessage) -> None:
        if event.node != node or event.phase != "onset" or event.id in self._seen:
            return
        self._seen[event.id] = None
        while len(self._seen) > MOST_EVENTS:
            self._seen.popitem(last=False)
        self._add(node, AlarmRate(1, 0.0))

    def _add(self, node: str, more: AlarmRate) -> None:
        known = self._counted[node]
        self._counted[node] = AlarmRate(known.alarms + more.alarms, known.listened_s + more.listened_s)


class FleetRecorder:
    """What `trainer-cli serve` does besides answering; without a broker it tries again and nothing else suffers."""

    def __init__(self, home: Home, engine: Engine) -> None:
        self._mqtt = home.config.mqtt
        self._members = Members(engine)
        self._notes = ModelNotes(engine, self._mqtt.prefix)
        self._counter = AlarmCounter(self._mqtt.prefix)
        self._alarms = Alarms(engine)
        self._known: frozenset[str] = frozenset()
        self._waiting: asyncio.Queue[Received] = asyncio.Queue(maxsize=MOST_EVENTS)

    async def run(self) -> None:
        """Record until cancelled."""
        told = ""
        while True:
            try:
                await self._record()
            except (ConnectError, EarshotError) as error:
                if str(error) != told:
                    _log.warning("what nodes tell about models is not recorded now: %s", error)
                told = str(error)
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _record(self) -> None:
        self._known = await asyncio.to_thread(self._member_ids)
        filters = (*self._notes.filters(), *self._counter.filters())
        try:
            async with FleetLink(self._mqtt, filters, self._push), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._note())
                tasks.create_task(self._keep_counts())
        except ExceptionGroup as group:
            raise group.exceptions[0] from group

    def _push(self, message: Received) -> None:
        if node_of(message, self._mqtt.prefix) in self._known and not self._waiting.full():
            self._waiting.put_nowait(message)

    async def _note(self) -> None:
        while True:
            message = await self._waiting.get()
            self._counter.push(message)
            await asyncio.to_thread(self._notes.note, message)

    async def _keep_counts(self) -> None:
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            now = datetime.now(UTC)
            for node, more in self._counter.take().items():
                await asyncio.to_thread(self._alarms.add, node, now, more)
            self._known = await asyncio.to_thread(self._member_ids)

    def _member_ids(self) -> frozenset[str]:
        return frozenset(one.id for one in self._members.all())


def node_of(message: Received, prefix: str) -> str:
    """Return which node a message is about, by its topic."""
    return message.topic.removeprefix(f"{prefix}/").partition("/")[0]
