"""Somebody else on the network who subscribes: what Home Assistant would get, with the moment it came."""

import queue
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from earshot_node.errors import OperatorError

_CONNECT_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Received:
    """A message and the Unix time at which it came."""

    topic: str
    payload: bytes
    wall_s: float


class Subscriber:
    """Subscribes while the context lasts; messages wait in `messages`."""

    def __init__(self, host: str, port: int, filters: tuple[str, ...]) -> None:
        self.messages: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._address = (host, port)
        self._filters = filters
        self._subscribed: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._client = paho.Client(
            CallbackAPIVersion.VERSION2, client_id="earshot-demo-subscriber", protocol=MQTTProtocolVersion.MQTTv311
        )
        self._client.on_connect = self._connected
        self._client.on_subscribe = lambda *_: self._subscribed.put(None)
        self._client.on_message = self._received

    def __enter__(self) -> Self:
        """Connect and wait until the subscription stands.

        Raises:
            OperatorError: the broker does not answer.
        """
        try:
            self._client.connect(*self._address)
            self._client.loop_start()
            self._subscribed.get(timeout=_CONNECT_TIMEOUT_S)
        except (OSError, queue.Empty) as error:
            self._client.loop_stop()
            raise OperatorError(
                f"the broker on port {self._address[1]} does not answer; start the demo again"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._client.disconnect()
        self._client.loop_stop()

    def _connected(self, client: paho.Client, *_: Any) -> None:
        client.subscribe([(one, 1) for one in self._filters])

    def _received(self, _client: paho.Client, _data: Any, message: paho.MQTTMessage) -> None:
        self.messages.put(Received(message.topic, bytes(message.payload), time.time()))
