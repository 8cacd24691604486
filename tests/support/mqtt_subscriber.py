"""Somebody else at the broker, in a thread of its own: hears all, says what a test wants."""

import json
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from support.waiting import wait_until


@dataclass(frozen=True)
class Heard:
    """One message as it came."""

    topic: str
    payload: bytes
    retained: bool

    @property
    def json(self) -> Any:
        return json.loads(self.payload)


class Subscriber:
    """Subscribes to `filters` while the context lasts and reconnects for ever.

    `lasting` keeps its session, so that the broker holds messages for it while it is away (MQTT 5 only).
    """

    def __init__(
        self,
        port: int,
        *filters: str,
        protocol: str = "5",
        lasting: bool = False,
        configure: Callable[[paho.Client], None] = lambda _client: None,
    ) -> None:
        self.messages: list[Heard] = []
        self.subscribed = threading.Event()
        self._filters = filters or ("#",)
        self._is_5 = protocol == "5"
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"subscriber-{uuid.uuid4().hex[:8]}",
            protocol=MQTTProtocolVersion.MQTTv5 if self._is_5 else MQTTProtocolVersion.MQTTv311,
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = self._connected
        self._client.on_disconnect = lambda *_: self.subscribed.clear()
        self._client.on_subscribe = lambda *_: self.subscribed.set()
        self._client.on_message = self._received
        configure(self._client)
        extra: dict[str, Any] = {}
        if self._is_5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = 3600 if lasting else 0
            extra = {"clean_start": not lasting, "properties": properties}
        self._client.connect("127.0.0.1", port, keepalive=20, **extra)

    def __enter__(self) -> Self:
        self._client.loop_start()
        assert self.subscribed.wait(10), "no answer to the subscription"
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: bytes | str, *, retain: bool = False) -> None:
        """Publish at QoS 1 and wait for the acknowledgement."""
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(10)

    def on(self, topic: str) -> list[Heard]:
        """What came on one topic, in order."""
        return [heard for heard in list(self.messages) if heard.topic == topic]

    def payloads(self, topic: str) -> list[bytes]:
        """Payloads that came on one topic, in order."""
        return [heard.payload for heard in self.on(topic)]

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(name, 1) for name in self._filters])

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.messages.append(Heard(message.topic, bytes(message.payload), message.retain))


def retained(port: int, *filters: str, protocol: str = "5") -> dict[str, bytes]:
    """Return what lies retained in the broker below `filters`, by topic."""
    end = f"end/{uuid.uuid4().hex}"
    with Subscriber(port, *(filters or ("#",)), end, protocol=protocol) as subscriber:
        subscriber.say(end, b"end")  # comes behind all that lies there
        wait_until(lambda: subscriber.on(end), what="the end of the retained messages")
        return {heard.topic: heard.payload for heard in subscriber.messages if heard.retained and heard.payload}
