"""Keeps a connection to the broker for ever.

STOPPED --start--> CONNECTING --let in--> CONNECTED --lost--> WAITING --back-off over--> CONNECTING
                   CONNECTING --failed--> WAITING              any --stop--> STOPPED
"""

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Final

from earshot_node.contract.config import MqttSection
from earshot_node.contract.topics import Topic
from earshot_node.mqtt.connection import Connection, Delivery, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import ConnectError, where
from earshot_node.mqtt.vital_task import OnFailure, only_log, start_task

_log = logging.getLogger(__name__)

FIRST_DELAY_S: Final = 0.5
MAX_DELAY_S: Final = 30.0
SETTLED_AFTER_S: Final = 10.0  # a connection that ends sooner does not reset the back-off


class LinkState(Enum):
    """Where the link to the broker stands."""

    STOPPED = "stopped"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"


class BackOff:
    """Delays that double up to a cap, each shortened by up to half at random so that nodes do not come in step."""

    def __init__(self, first_s: float = FIRST_DELAY_S, most_s: float = MAX_DELAY_S) -> None:
        self._first_s = first_s
        self._most_s = most_s
        self._next_s = first_s

    def next_s(self) -> float:
        """Return how long to wait this time."""
        delay_s = self._next_s
        self._next_s = min(self._most_s, 2 * delay_s)
        return delay_s * random.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin with the first delay again."""
        self._next_s = self._first_s


class BrokerClient:
    """Connects, tells when it did, and connects again for ever; create it inside the running loop.

    The first failure of each kind in a series is logged as a warning, repeats at debug, recovery at info.

    Attributes:
        state: see `LinkState`.
        problem: why there is no connection, one line; '' while connected or before the first attempt has failed.
    """

    def __init__(
        self,
        config: MqttSection,
        identity: Identity,
        *,
        on_connected: Callable[[], None],
        on_disconnected: Callable[[], None],
        on_message: Callable[[Received], None],
        on_failure: OnFailure = only_log,
        back_off: BackOff | None = None,
    ) -> None:
        self._config = config
        self._identity = identity
        self._on_connected = on_connected
        self._on_disconnected = on_disconnected
        self._on_message = on_message
        self._on_failure = on_failure
        self._back_off = back_off or BackOff()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._warned: set[str] = set()
        self.state = LinkState.STOPPED
        self.problem = ""

    @property
    def connected(self) -> bool:
        """Whether messages can go out now."""
        return self.state is LinkState.CONNECTED

    def start(self) -> None:
        """Begin to connect; returns at once."""
        if self._task is None:
            self._task = start_task(self._run(), "mqtt-link", self._on_failure)

    async def stop(self) -> None:
        """Disconnect cleanly if connected, give up otherwise; about a second at most; idempotent."""
        task, self._task = self._task, None
        if self._connection is not None:
            await self._connection.close()
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self.state = LinkState.STOPPED

    def publish(self, topic: Topic, payload: bytes, expiry_s: int | None = None) -> asyncio.Future[Delivery]:
        """Send a message; LOST at once while there is no connection. See `Connection.publish`."""
        if self._connection is None:
            lost: asyncio.Future[Delivery] = asyncio.get_running_loop().create_future()
            lost.set_result(Delivery(Outcome.LOST))
            return lost
        return self._connection.publish(topic, payload, expiry_s)

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> list[str]:
        """Subscribe and return the refused filters; empty while there is no connection."""
        return await self._connection.subscribe(subscriptions) if self._connection is not None else []

    async def _run(self) -> None:
        while True:
            self.state = LinkState.CONNECTING
            try:
                self._connection = await Connection.open(self._config, self._identity, self._on_message)
            except ConnectError as error:
                self._failed(str(error))
            else:
                await self._stay_connected(self._connection)
            self.state = LinkState.WAITING
            await asyncio.sleep(self._back_off.next_s())

    async def _stay_connected(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        opened_at_s = loop.time()
        self._recovered()
        self.state = LinkState.CONNECTED
        self._on_connected()
        try:
            reason = await asyncio.shield(connection.closed)
        finally:
            self.state = LinkState.WAITING
            self._connection = None
            self._on_disconnected()
        if loop.time() - opened_at_s >= SETTLED_AFTER_S:
            self._back_off.reset()
        if self._task is not None:  # otherwise `stop` closed it
            self._failed(reason)

    def _failed(self, reason: str) -> None:
        self.problem = reason
        known = reason in self._warned
        self._warned.add(reason)
        _log.log(logging.DEBUG if known else logging.WARNING, "MQTT: %s (trying again)", reason)

    def _recovered(self) -> None:
        _log.info("MQTT: connected to %s", where(self._config))
        self.problem = ""
        self._warned.clear()
