"""The node's voice: events, states, levels and health to the broker; settings and commands from it."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import Command, EventMessage, NodeHealth, NodeInfo, SourceHealth
from earshot_node.contract.recordings import RecordingsReport
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics, Topic
from earshot_node.mqtt import discovery
from earshot_node.mqtt.announcer import Announcer
from earshot_node.mqtt.board import Board, Message
from earshot_node.mqtt.client import BackOff, BrokerClient
from earshot_node.mqtt.command_desk import CommandAction, CommandDesk, FeedbackAction
from earshot_node.mqtt.connection import Delivery, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.database import StoreError
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.kept_settings import KeptSettings
from earshot_node.mqtt.outbox import LATE_AFTER_S, Outbox
from earshot_node.mqtt.settings import LabelSettings, SettingChange, default_settings
from earshot_node.mqtt.store import StateStore
from earshot_node.mqtt.vital_task import OnFailure, only_log, start_task

_log = logging.getLogger(__name__)

ONLINE: Final = b"online"
OFFLINE: Final = b"offline"
REPEAT_S: Final = 12.0  # Home Assistant turns a sensor off after discovery.OFF_DELAY_S; one repeat may be lost
SIGN_OF_LIFE_S: Final = 30.0
OFFER_WITHIN_S: Final = 10.0
"""After a node has subscribed; a retained offer that has not come by then does not lie at the broker any more."""
BIRTH_DELAY_S: Final = (1.0, 10.0)


class Publisher:
    """Publishes what one node hears, whether or not a broker is there; create it inside the running loop.

    A sensor is ON from onset to offset. ON is repeated every `repeat_s` as long as levels or confidences of the source
    keep coming: when inference stands still, Home Assistant's `off_delay` ends it.

    Args:
        config: the node's.
        info: who it is; published retained.
        store: queue, settings and ledger; stays the caller's to close.
        on_setting: called in the loop after a setting was changed; a disk that refuses it is tried again later.
        commands: further commands of the node by name, see `CommandDesk`.
        on_feedback: what is done about feedback to events; None refuses it.
        on_offer: called in the loop with the payload of a model offer, whatever its bytes, retained or not; with none
            when it was taken back, also while the broker was away.
        back_off: delays between attempts to connect.
        repeat_s: how often ON is repeated.
        birth_delay_s: range of the random wait after Home Assistant started.
        on_failure: called in the loop when an unexpected error ended a task without which events are not told any
            more; it is already logged. Only a new process helps.
    """

    def __init__(
        self,
        config: NodeConfig,
        info: NodeInfo,
        store: StateStore,
        on_setting: Callable[[str, str, SettingChange], None],
        *,
        commands: Mapping[str, CommandAction] | None = None,
        on_feedback: FeedbackAction | None = None,
        on_offer: Callable[[bytes], None] | None = None,
        back_off: BackOff | None = None,
        repeat_s: float = REPEAT_S,
        birth_delay_s: tuple[float, float] = BIRTH_DELAY_S,
        on_failure: OnFailure | None = None,
    ) -> None:
        self._config = config
        self._store = store
        self._repeat_s = repeat_s
        self._birth_delay_s = birth_delay_s
        self._on_failure = on_failure or only_log
        self._on_offer = on_offer
        self._loop = asyncio.get_running_loop()
        self._topics = NodeTopics(config.mqtt.prefix, config.node.id)
        self._discovery = DiscoveryTopics(config.home_assistant.discovery_prefix, config.node.id)
        self._disk = DiskThread()
        self._kept = KeptSettings(store, self._disk)
        keys = [(source.id, label) for source in config.sources for label in config.labels]
        self._board = Board(config, info, self._kept.over(default_settings(config), keys), store.last_events())
        self._client = BrokerClient(
            config.mqtt,
            Identity(f"earshot-{config.node.id}", (self._topics.status(), OFFLINE)),
            on_connected=self._greet,
            on_disconnected=self._part,
            on_message=self._received,
            on_failure=self._on_failure,
            back_off=back_off,
        )
        self._outbox = Outbox(
            store,
            self._disk,
            self._topics,
            limit=config.mqtt.queue_limit,
            on_late=self._late,
            on_failure=self._on_failure,
        )
        self._announcer = Announcer(discovery.announcements(config, info), store, self._publish, self._disk)
        self._desk = CommandDesk(
            config,
            self._board,
            self._kept,
            send=self._send,
            on_setting=on_setting,
            actions={"announce": self._announce_all, **(commands or {})},
            on_feedback=on_feedback,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: set[asyncio.Task[None]] = set()
        self._reborn = False
        self._offer_came = False
        self._refused = ""

    @property
    def connected(self) -> bool:
        """Whether the broker is reached now."""
        return self._client.connected

    @property
    def queued(self) -> int:
        """How many events wait for the broker."""
        return self._outbox.queued

    @property
    def problem(self) -> str:
        """What is wrong between node and broker and with the state file, one line, '' when fine."""
        link = self._client.problem or self._outbox.problem or self._refused
        return "; ".join(problem for problem in (link, self._disk.problem) if problem)

    def settings(self, source: str, label: str) -> LabelSettings:
        """Return the settings that hold now.

        Raises:
            KeyError: the configuration has no such source or label.
        """
        return self._board.settings[source, label]

    async def start(self) -> None:
        """Begin to connect, for ever, in the background; returns at once."""
        if self._config.mqtt.enabled:
            self._start(self._repeat_states(), "mqtt-repeat", self._tasks, self._on_failure)
            self._start(self._desk.run(), "mqtt-commands", self._tasks, self._on_failure)
            self._start(self._kept.run(), "mqtt-settings", self._tasks, self._on_failure)
            self._client.start()

    async def stop(self) -> None:
        """Say OFF and offline, disconnect; 3 s at most. What the broker did not take stays on disk."""
        if self.connected:
            await self._outbox.drained(timeout_s=1.0)
            self._send(self._board.close_all())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._publish(self._topics.status(), OFFLINE), 0.8)
        for task in [*self._tasks, *self._session]:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._session, return_exceptions=True)
        await self._client.stop()
        await self._outbox.close()
        self._disk.close()

    async def publish_event(self, event: EventMessage, age_s: float = 0.0) -> None:
        """Commit an event to disk and send it; returns after the commit.

        Guaranteed also when every event has a task of its own (`asyncio.create_task(publisher.publish_event(...))`):
        its state (ON, OFF) goes out and its commit is in the disk's queue before it first gives way, so a disk that
        hangs delays no state, and events are committed and sent in the order of the calls. Cancelling such a task may
        lose the event; wait for all of them before `stop`.

        Args:
            event: of a source and label of the configuration.
            age_s: how long ago it was decided; beyond `LATE_AFTER_S` it is late and turns nothing on.

        Raises:
            KeyError: the configuration has no such source or label.
        """
        self.settings(event.source, event.event_type)
        if not self._config.mqtt.enabled:
            return
        if event.phase == "offset":
            self._send(self._board.offset(event))
        elif age_s <= LATE_AFTER_S:
            self._send(self._board.onset(event, self._loop.time()))
        await self._outbox.add(event, age_s, is_last=self._board.is_last(event))

    def publish_kind(self, event: EventMessage) -> None:
        """Tell the kind of a siren that lasts to readers of the last event; one that is no longer open is left out."""
        messages = self._board.named(event)
        self._send(messages)
        if messages:
            self._answer(self._keep_last(event), "mqtt-kind")

    def publish_level(self, source: str, dbfs: float) -> None:
        """Tell the level of a source; call it as often as there is one, at least every 20 s."""
        self._send(self._board.level(source, dbfs, self._loop.time()))

    def publish_confidence(self, source: str, label: str, percent: float) -> None:
        """Tell the confidence in a label, 0 to 100; call it as often as there is one, at least every 20 s."""
        self.settings(source, label)
        self._send(self._board.confidence(source, label, round(percent), self._loop.time()))

    def publish_info(self, info: NodeInfo) -> None:
        """Tell who the node is, when that has changed; what differs in Home Assistant because of it is announced."""
        self._send(self._board.info(info))
        changed = self._announcer.want(discovery.announcements(self._config, info))
        if changed and self.connected:  # else the next session announces all
            self._answer(self._announcer.announce_only(changed), "mqtt-announce")

    def publish_retained(self, topic: Topic, payload: bytes) -> None:
        """Tell something that readers who come later want to know, now and whenever the broker is reached again."""
        self._send(self._board.retain(topic, payload))

    def deliver(self, topic: Topic, payload: bytes) -> asyncio.Future[Delivery]:
        """Send a message once; the result says what became of it. LOST at once while the broker is away."""
        return self._publish(topic, payload)

    def publish_source_health(self, health: SourceHealth) -> None:
        """Tell how a source is, at every change and every 30 s."""
        self._send(self._board.source_health(health))

    def publish_recordings(self, report: RecordingsReport) -> None:
        """Tell how it stands with the recordings, at every change."""
        self._send(self._board.recordings(report))

    def publish_health(self, health: NodeHealth) -> None:
        """Tell how the node is, at every change and every 30 s."""
        self._send(self._board.health(health))

    def _greet(self) -> None:
        self._start(self._begin_session(), "mqtt-session", self._session, self._on_failure)

    def _part(self) -> None:
        self._outbox.disconnected()
        for task in self._session:
            task.cancel()

    async def _begin_session(self) -> None:
        """States before `online`, so that a state from before a crash is never shown."""
        self._refused = ""
        self._offer_came = False
        await self._disk.attempt(lambda: self._store.add_retained(self._board.retained_topics()))
        self._send(list(self._board.everything()))
        self._send([(self._topics.status(), ONLINE)])
        self._outbox.connected(self._client.publish)
        await self._subscribe()
        self._answer(self._announce(), "mqtt-announce")

    async def _announce(self) -> None:
        if await self._announcer.announce():
            await self._clear_retained()

    async def _subscribe(self) -> None:
        wanted = [Subscription(name) for name in self._topics.command_filters()]
        if self._on_offer is not None:
            wanted.append(Subscription(self._topics.model_offer().name))
        if self._config.home_assistant.enabled:
            wanted += [Subscription(self._discovery.filter(), own=False), Subscription(self._discovery.birth())]
        for refused in await self._client.subscribe(wanted):
            self._warn_refused(f"the broker refuses the subscription to {refused}")
        if self._on_offer is not None:
            self._answer(self._miss_offer(self._on_offer), "mqtt-offer")

    async def _miss_offer(self, on_offer: Callable[[bytes], None]) -> None:
        await asyncio.sleep(OFFER_WITHIN_S)
        if not self._offer_came:
            on_offer(b"")

    async def _clear_retained(self) -> None:
        """Empty the topics of sources and labels that are gone from the configuration, once no entity listens there."""
        known: set[str] = set()
        with contextlib.suppress(StoreError):
            known = await self._disk.run(self._store.retained)
        for name in sorted(known - self._board.retained_topics()):
            delivery = await self._publish(Topic(name, 1, retain=True), b"")
            if delivery.outcome is Outcome.ACKNOWLEDGED:
                await self._disk.attempt(partial(self._store.forget_retained, [name]))

    def _received(self, message: Received) -> None:
        if message.topic == self._discovery.birth():
            if message.payload == ONLINE and not message.retained and not self._reborn:
                self._reborn = True
                self._answer(self._answer_birth(), "mqtt-birth")
        elif message.topic.startswith(f"{self._discovery.prefix}/device/"):
            self._answer(self._announcer.heard(message.topic, message.payload), "mqtt-heard")
        elif message.topic == self._topics.model_offer().name and self._on_offer is not None:
            self._offer_came = True
            self._on_offer(message.payload)
        else:
            self._desk.take(message)

    async def _keep_last(self, event: EventMessage) -> None:
        await self._disk.attempt(lambda: self._store.save_last_event(event))

    async def _answer_birth(self) -> None:
        """Home Assistant has started: tell it everything again, not in step with the other nodes."""
        try:
            await asyncio.sleep(random.uniform(*self._birth_delay_s))
        finally:
            self._reborn = False
        self._send([(self._topics.status(), ONLINE)])
        self._send(list(self._board.everything()))
        await self._announcer.announce()
        self._send(list(self._board.everything()))
        await self._announcer.remove_again()

    def _announce_all(self, _command: Command) -> None:
        self._answer(self._revive(), "mqtt-revive")

    async def _revive(self) -> None:
        await self._announcer.revive()
        await self._announcer.announce()
        await self._announcer.remove_again()

    async def _repeat_states(self) -> None:
        while True:
            await asyncio.sleep(self._repeat_s)
            self._send(self._board.lasting(self._loop.time() - SIGN_OF_LIFE_S))

    def _late(self, event: EventMessage) -> None:
        self._send(self._board.late(event))

    def _send(self, messages: list[Message]) -> None:
        for topic, payload in messages:
            self._publish(topic, payload)

    def _publish(self, topic: Topic, payload: bytes) -> asyncio.Future[Delivery]:
        delivery = self._client.publish(topic, payload)
        delivery.add_done_callback(lambda done: self._note_refusal(topic, done.result()))
        return delivery

    def _note_refusal(self, topic: Topic, delivery: Delivery) -> None:
        if delivery.outcome is Outcome.REFUSED:
            self._warn_refused(f"the broker refuses messages on {topic.name} ({delivery.reason})")

    def _warn_refused(self, what: str) -> None:
        if not self._refused:
            self._refused = f"{what}; let this node's user read and write it in the broker's access rules"
            _log.warning("MQTT: %s", self._refused)

    def _start(
        self, work: Coroutine[Any, Any, None], name: str, group: set[asyncio.Task[None]], on_failure: OnFailure
    ) -> None:
        task = start_task(work, name, on_failure)
        group.add(task)
        task.add_done_callback(group.discard)

    def _answer(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Do something about a message from outside; an error in it ends this session's answer only."""
        self._start(work, name, self._session, only_log)
