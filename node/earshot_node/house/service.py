"""Runs the house: listens to all nodes, tells Home Assistant. What it has to keep lies at the broker."""

import asyncio
import contextlib
import logging
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.house import HouseOwner, HouseReport
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.errors import MessageError
from earshot_node.house.discovery import house_device
from earshot_node.house.election import SETTLE_S, Election, Role
from earshot_node.house.fusion import Fusion
from earshot_node.house.hearsay import Hearsay
from earshot_node.house.writing import Chronicle
from earshot_node.mqtt.client import BackOff, BrokerClient
from earshot_node.mqtt.connection import Identity, Outcome, Received, Subscription
from earshot_node.mqtt.discovery import encode, fingerprint
from earshot_node.mqtt.vital_task import only_log, start_task

_log = logging.getLogger(__name__)

TICK_S: Final = 1.0
REPEAT_S: Final = 20.0
"""State and report while a siren sounds; Home Assistant turns the sensor off without."""
ACCESS_FIX: Final = "docs/drill-and-house.md has the lines for the broker's access rules"
ALONE: Final = "-alone"
"""What the program beside a node is called, behind the node's id: both could run with one configuration."""


class House:
    """Use inside a running loop: `run` until it is cancelled, or `stop`.

    Args:
        config: the broker, and how the house decides.
        instance: name of this one, unique at the broker.
        back_off: delays between attempts to connect.
        settle_s: see `Election`.
        tick_s: how often it looks what time has changed.
    """

    def __init__(
        self,
        config: NodeConfig,
        instance: str,
        *,
        back_off: BackOff | None = None,
        settle_s: float = SETTLE_S,
        tick_s: float = TICK_S,
    ) -> None:
        self._tick_s = tick_s
        self._config = config
        self._instance = instance
        self._topics = HouseTopics(config.mqtt.prefix)
        self._loop = asyncio.get_running_loop()
        self._fusion = Fusion(config.house.needed, config.house.window_s, config.house.quiet_s)
        self._hearsay = Hearsay(self._topics, self._fusion)
        self._chronicle = Chronicle(self._fusion, instance)
        self._election = Election(instance, settle_s=settle_s)
        self._client = BrokerClient(
            config.mqtt,
            Identity(f"earshot-{instance}-house", (self._topics.alive(instance), b"offline")),
            on_connected=self._connected,
            on_disconnected=self._election.disconnected,
            on_message=self._received,
            back_off=back_off,
        )
        self._before: HouseReport | None = None
        self._announced: HouseOwner | None = None
        self._has_device = False
        self._leads = False
        self._told: HouseReport | None = None
        self._repeat_at_s = 0.0
        self._refused = ""
        self._greeting: set[asyncio.Task[None]] = set()

    @property
    def rivalry(self) -> str:
        """Why this one does not run the house although the broker is there, one line; '' when it does."""
        if self._election.rival:
            return f"house: {self._election.rival} runs it already; this node stands by: set house.enabled on one only"
        return self._refused

    async def run(self) -> None:
        """Run for ever; on cancellation it says that it is gone."""
        self._client.start()
        try:
            while True:
                await asyncio.sleep(self._tick_s)
                try:
                    self._advance()
                except Exception:  # noqa: BLE001 - whatever it was, the next alarm of the house must not be lost by it
                    _log.exception("house: a step failed")
        finally:
            for task in self._greeting:
                task.cancel()
            if self._client.connected:
                with contextlib.suppress(TimeoutError):
                    gone = self._client.publish(self._topics.alive(self._instance), b"offline")
                    await asyncio.wait_for(gone, 0.8)
            await self._client.stop()

    def _connected(self) -> None:
        self._leads = False
        self._told = None
        self._has_device = False
        self._announced = None
        self._election.connected(self._loop.time())
        task = start_task(self._subscribe(), "house-subscribe", only_log)
        self._greeting.add(task)
        task.add_done_callback(self._greeting.discard)

    async def _subscribe(self) -> None:
        discovery = [self._device] if self._config.home_assistant.enabled else []
        filters = [*self._topics.own_filters(), *discovery, *self._topics.node_filters()]
        refused = await self._client.subscribe([Subscription(name) for name in filters])
        alive = self._topics.alive(self._instance)
        delivery = await self._client.publish(alive, b"online")
        denied = [f"read {name}" for name in refused]
        denied += [f"write {alive.name}"] if delivery.outcome is Outcome.REFUSED else []
        self._refused = f"house: the broker does not let it {denied[0]}; {ACCESS_FIX}" if denied else ""
        if self._refused:
            _log.warning("%s", self._refused)

    @property
    def _device(self) -> str:
        return self._topics.device(self._config.home_assistant.discovery_prefix).name

    def _received(self, message: Received) -> None:
        now_s = self._loop.time()
        instance = self._topics.instance(message.topic)
        if instance is not None:
            self._election.alive(instance, now_s, online=message.payload == b"online")
        elif message.topic == self._topics.owner().name:
            self._take_owner(message.payload, now_s)
        elif message.topic == self._topics.report().name:
            self._take_report(message)
        elif message.topic == self._device:
            self._has_device = bool(message.payload)
        else:
            self._hearsay.take(message, now_s)
            if not message.topic.endswith("/level"):  # the many that decide nothing wait for the next tick
                self._advance()

    def _take_owner(self, payload: bytes, now_s: float) -> None:
        try:
            owner = HouseOwner.decode(payload) if payload else None
        except MessageError as error:
            _log.warning("house: who runs it cannot be read: %s", error)
            owner = None
        before = self._election.role
        self._announced = owner
        self._election.named(None if owner is None else owner.owner, now_s)
        if self._election.role is Role.STANDBY and before is not Role.STANDBY:
            _log.warning("house: run by %s; this one stands by", self._election.owner)
            self._leads = False

    def _take_report(self, message: Received) -> None:
        if message.retained and message.payload and not self._leads:
            with contextlib.suppress(MessageError):
                self._before = HouseReport.decode(message.payload)

    def _advance(self) -> None:
        now_s = self._loop.time()
        if self._election.claims(now_s):
            _log.info("house: nobody runs it; this one does from now on")
            self._publish_owner("" if self._announced is None else self._announced.fingerprint)
        if self._election.role is not Role.OWNER or not self._election.settled(now_s):
            return
        if not self._leads:
            self._lead(now_s)
        for change in self._fusion.advance(now_s):
            event = self._chronicle.enter(change, now_s)
            if event is not None:
                _log.info("house: siren in %s", ", ".join(event.rooms))
                self._tell(now_s)
                self._client.publish(self._topics.onset(), event.encode())
        self._tell(now_s)

    def _lead(self, now_s: float) -> None:
        """From now on this one speaks: first what lay at the broker is taken up, then the device is announced."""
        self._leads = True
        if self._before is not None:
            self._chronicle.resume(self._before, now_s)
        if not self._config.home_assistant.enabled:
            return
        payload = house_device(self._topics, self._instance)
        mark = fingerprint({**payload, "availability": []})
        was_deleted = self._announced is not None and self._announced.fingerprint == mark and not self._has_device
        if was_deleted:
            _log.info("house: its device was deleted in Home Assistant; it stays so until its make-up changes")
        else:
            self._client.publish(self._topics.device(self._config.home_assistant.discovery_prefix), encode(payload))
            self._publish_owner(mark)

    def _publish_owner(self, mark: str) -> None:
        since = self._chronicle.now()
        owner = HouseOwner(owner=self._instance, fingerprint=mark, since=since)
        self._client.publish(self._topics.owner(), owner.encode())

    def _tell(self, now_s: float) -> None:
        """Publish what has changed; details before the state, so that its change carries them."""
        report = self._chronicle.report(now_s)
        unchanged = self._told is not None and report == self._told.model_copy(update={"time": report.time})
        due = report.state == "on" and now_s >= self._repeat_at_s
        if unchanged and not due:
            return
        self._told = report
        self._repeat_at_s = now_s + REPEAT_S
        self._client.publish(self._topics.report(), report.encode())
        self._client.publish(self._topics.state(), b"ON" if report.state == "on" else b"OFF")
