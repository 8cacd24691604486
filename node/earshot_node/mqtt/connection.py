"""One MQTT connection inside the asyncio loop: paho-mqtt as the protocol, the loop as its only thread.

A new paho client for every connection: nothing of the last one is sent again behind the outbox's back.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, Self, TypeVar

from paho.mqtt import client as paho
from paho.mqtt.enums import LogLevel, MQTTErrorCode
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from earshot_node.contract.config import MqttSection
from earshot_node.contract.topics import Topic
from earshot_node.mqtt import failure
from earshot_node.mqtt.failure import ConnectError
from earshot_node.mqtt.opening import Will, close_socket, open_client

_log = logging.getLogger(__name__)
T = TypeVar("T")

ANSWER_TIMEOUT_S: Final = 5.0
MAX_IN_FLIGHT: Final = 20  # what paho and mosquitto take by default; a broker may ask for less


class Outcome(Enum):
    """What became of a message."""

    ACKNOWLEDGED = "acknowledged"
    REFUSED = "refused"
    LOST = "lost"


@dataclass(frozen=True, slots=True)
class Delivery:
    """Outcome and, when the broker refused, its reason."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Received:
    """A message from the broker; `retained` if it lay there, or asks to lie there."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Subscription:
    """A topic filter; `own` messages are wanted too."""

    filter: str
    own: bool = True


@dataclass(frozen=True, slots=True)
class Identity:
    """Who connects, and what the broker says when the connection breaks."""

    client_id: str
    will: Will | None = None


@dataclass(frozen=True, slots=True)
class _Publish:
    topic: Topic
    payload: bytes
    expiry_s: int | None
    delivery: asyncio.Future[Delivery]


class Connection:
    """An open connection; get one with `open`.

    Attributes:
        closed: done when the connection has ended, with the reason in one line ('' if `close` was called).
    """

    def __init__(self, config: MqttSection, client: paho.Client, on_message: Callable[[Received], None]) -> None:
        self._config = config
        self._client = client
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._answer: asyncio.Future[ReasonCode] = self._loop.create_future()
        self.closed: asyncio.Future[str] = self._loop.create_future()
        self._opened_at_s = self._loop.time()
        self._window = MAX_IN_FLIGHT
        self._waiting: deque[_Publish] = deque()
        self._in_flight: dict[int, asyncio.Future[Delivery]] = {}
        self._subscribing: dict[int, asyncio.Future[list[ReasonCode]]] = {}
        self._detail = ""
        self._taken_over = False
        self._closing = False
        self._timer: asyncio.TimerHandle | None = None

    @classmethod
    async def open(cls, config: MqttSection, identity: Identity, on_message: Callable[[Received], None]) -> Self:
        """Connect once.

        Raises:
            ConnectError: the reason in one line.
        """
        client = await open_client(config, identity.client_id, identity.will)
        self = cls(config, client, on_message)
        self._take_over_socket()
        try:
            await self._wait_for_answer()
        except BaseException:
            self._abort()
            raise
        return self

    def publish(self, topic: Topic, payload: bytes, expiry_s: int | None = None) -> asyncio.Future[Delivery]:
        """Send a message; order is kept. The future never fails; QoS 0 counts as acknowledged once it is handed over.

        Args:
            topic: where and how.
            payload: the bytes.
            expiry_s: the broker may drop it after this long (MQTT 5 only).
        """
        delivery: asyncio.Future[Delivery] = self._loop.create_future()
        if self.closed.done():
            delivery.set_result(Delivery(Outcome.LOST))
            return delivery
        self._waiting.append(_Publish(topic, payload, expiry_s, delivery))
        self._send_waiting()
        return delivery

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> list[str]:
        """Subscribe and return the filters that the broker refused."""
        if self.closed.done():
            return []
        _, mid = self._client.subscribe([(wanted.filter, _options(self._config, wanted)) for wanted in subscriptions])  # type: ignore[arg-type]
        if mid is None:
            return []
        answer: asyncio.Future[list[ReasonCode]] = self._loop.create_future()
        self._subscribing[mid] = answer
        codes = await answer
        return [wanted.filter for wanted, code in zip(subscriptions, codes, strict=False) if code.is_failure]

    async def close(self, timeout_s: float = 1.0) -> None:
        """Say goodbye (the broker then drops the will) and close; idempotent."""
        self._closing = True
        if not self.closed.done():
            self._client.disconnect()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(self.closed), timeout_s)
        self._abort()

    async def _wait_for_answer(self) -> None:
        awaited: set[asyncio.Future[Any]] = {self._answer, self.closed}
        await asyncio.wait(awaited, timeout=ANSWER_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)
        if self._answer.done():
            if self._answer.result().is_failure:
                raise ConnectError(failure.explain_refusal(self._config, self._answer.result()))
        elif self.closed.done():
            raise ConnectError(failure.closed_early(self._config, self._detail))
        else:
            raise ConnectError(failure.no_answer(self._config))

    def _send_waiting(self) -> None:
        while self._waiting and (self._waiting[0].topic.qos == 0 or len(self._in_flight) < self._window):
            message = self._waiting.popleft()
            properties = None
            if message.expiry_s is not None and self._config.protocol == "5":
                properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]
                properties.MessageExpiryInterval = message.expiry_s
            topic = message.topic
            info = self._client.publish(topic.name, message.payload, topic.qos, topic.retain, properties)
            if topic.qos == 0:
                _resolve(message.delivery, Delivery(Outcome.ACKNOWLEDGED))
            else:
                self._in_flight[info.mid] = message.delivery

    def _take_over_socket(self) -> None:
        client = self._client
        client.on_connect = self._connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_subscribe = self._subscribed
        client.on_message = self._received
        client.on_log = self._logged
        client.on_socket_register_write = self._wants_to_write
        client.on_socket_unregister_write = self._wrote
        client.on_socket_close = self._socket_closes
        sock = client.socket()
        assert sock is not None
        self._loop.add_reader(sock, self._read)
        if client.want_write():
            self._loop.add_writer(sock, self._write)
        self._tick()

    def _tick(self) -> None:
        self._step(self._client.loop_misc)
        if not self.closed.done():
            self._timer = self._loop.call_later(1.0, self._tick)

    def _write(self) -> None:
        self._step(self._client.loop_write)

    def _read(self) -> None:
        while self._step(self._client.loop_read):
            sock: Any = self._client.socket()
            if sock is None or not hasattr(sock, "pending") or not sock.pending():
                return  # with TLS, decrypted bytes may wait that no select ever reports

    def _step(self, step: Callable[[], MQTTErrorCode]) -> bool:
        try:
            code = step()
        except Exception as error:  # noqa: BLE001 - paho raises anything at all on malformed packets
            self._detail = f"it sent something that is not MQTT: {error}"
            self._abort()
            return False
        if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
            self._abort()
        return code == MQTTErrorCode.MQTT_ERR_SUCCESS

    def _wants_to_write(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        self._loop.add_writer(sock, self._write)

    def _wrote(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        self._loop.remove_writer(sock)

    def _socket_closes(self, _client: paho.Client, _data: Any, sock: Any) -> None:
        self._loop.remove_reader(sock)

    def _connected(self, _client: paho.Client, _data: Any, _flags: Any, code: ReasonCode, extra: Any) -> None:
        self._window = min(MAX_IN_FLIGHT, getattr(extra, "ReceiveMaximum", MAX_IN_FLIGHT))
        _resolve(self._answer, code)

    def _disconnected(self, _client: paho.Client, _data: Any, flags: Any, code: ReasonCode, _extra: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._taken_over = failure.is_takeover(code)
            self._detail = str(code)
        self._loop.call_soon(self._abort)

    def _published(self, _client: paho.Client, _data: Any, mid: int, code: ReasonCode, _extra: Any) -> None:
        delivery = Delivery(Outcome.REFUSED, str(code)) if code.is_failure else Delivery(Outcome.ACKNOWLEDGED)
        self._loop.call_soon(self._acknowledged, mid, delivery)

    def _acknowledged(self, mid: int, delivery: Delivery) -> None:
        waiting = self._in_flight.pop(mid, None)
        if waiting is not None:
            _resolve(waiting, delivery)
            self._send_waiting()

    def _subscribed(self, _client: paho.Client, _data: Any, mid: int, codes: list[ReasonCode], _extra: Any) -> None:
        answer = self._subscribing.pop(mid, None)
        if answer is not None:
            _resolve(answer, codes)

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        try:
            topic = message.topic
        except UnicodeDecodeError:
            return
        self._loop.call_soon(self._on_message, Received(topic, bytes(message.payload), message.retain))

    def _logged(self, _client: paho.Client, _data: Any, level: int, text: str) -> None:
        if level == LogLevel.MQTT_LOG_ERR:
            self._detail = text
        _log.debug("paho: %s", text)

    def _abort(self) -> None:
        if self.closed.done():
            return
        if self._timer is not None:
            self._timer.cancel()
        close_socket(self._client, self._loop)
        lasted_s = self._loop.time() - self._opened_at_s
        loss = failure.explain_loss(self._config, self._detail, taken_over=self._taken_over, lasted_s=lasted_s)
        self.closed.set_result("" if self._closing else loss)
        for delivery in [*self._in_flight.values(), *(message.delivery for message in self._waiting)]:
            _resolve(delivery, Delivery(Outcome.LOST))
        self._in_flight.clear()
        self._waiting.clear()
        for answer in self._subscribing.values():
            _resolve(answer, [])
        self._subscribing.clear()


def _options(config: MqttSection, wanted: Subscription) -> SubscribeOptions | int:
    if config.protocol != "5":
        return 1
    return SubscribeOptions(qos=1, noLocal=not wanted.own, retainAsPublished=True)


def _resolve(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)
