"""A connection to the household's broker that comes back by itself, for commands that stay a while."""

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Callable
from typing import Final, Self

from earshot_node.contract.config import MqttSection
from earshot_node.contract.topics import Topic
from earshot_node.errors import OperatorError
from earshot_node.mqtt.connection import Connection, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import ConnectError, where

_log = logging.getLogger(__name__)

AGAIN_AFTER_S: Final = 2.0
AGAIN_AT_MOST_S: Final = 60.0
PUBLISH_WITHIN_S: Final = 60.0


class FleetLink:
    """Hears what the filters cover and publishes; use it as an asynchronous context.

    Args:
        config: the broker.
        filters: subscriptions; what lies retained comes again after every reconnection.
        on_message: called in the loop.
    """

    def __init__(self, config: MqttSection, filters: tuple[str, ...], on_message: Callable[[Received], None]) -> None:
        self._config = config
        self._filters = filters
        self._on_message = on_message
        self._connection: Connection | None = None
        self._connected = asyncio.Event()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            ConnectError: the broker cannot be reached.
            OperatorError: it does not let this user read.
        """
        await self._open()
        self._keeping = asyncio.create_task(self._keep(), name="link to the broker")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.gather(self._keeping, return_exceptions=True)
        if self._connection is not None:
            await self._connection.close()

    async def publish(self, topic: Topic, payload: bytes) -> None:
        """Publish, and return when the broker has it; sent again after a connection that broke.

        Raises:
            OperatorError: the broker does not let this user, or stays away.
        """
        try:
            async with asyncio.timeout(PUBLISH_WITHIN_S):
                while True:
                    await self._connected.wait()
                    assert self._connection is not None
                    delivery = await self._connection.publish(topic, payload)
                    if delivery.outcome is Outcome.ACKNOWLEDGED:
                        return
                    if delivery.outcome is Outcome.REFUSED:
                        raise OperatorError(
                            f"{where(self._config)} does not let this user publish {topic.name}: {delivery.reason}; "
                            "see the user trainer in deploy/broker/config/acl"
                        )
                    await asyncio.sleep(0)  # let the link notice that it broke
        except TimeoutError as error:
            raise OperatorError(f"{where(self._config)} stays away; try again when the broker is up") from error

    async def _open(self) -> None:
        identity = Identity(f"earshot-trainer-{secrets.token_hex(4)}")
        connection = await Connection.open(self._config, identity, self._on_message)
        refused = await connection.subscribe([Subscription(name) for name in self._filters])
        if refused:
            await connection.close()
            raise OperatorError(f"{where(self._config)} does not let this user read {refused[0]}; set mqtt.username")
        self._connection = connection
        self._connected.set()

    async def _keep(self) -> None:
        pause_s = AGAIN_AFTER_S
        while True:
            assert self._connection is not None
            reason = await asyncio.shield(self._connection.closed)
            self._connected.clear()
            _log.warning("the broker is gone (%s); connecting again", reason or "closed")
            while not self._connected.is_set():
                await asyncio.sleep(pause_s)
                with contextlib.suppress(ConnectError, OperatorError):
                    await self._open()
                pause_s = AGAIN_AFTER_S if self._connected.is_set() else min(2 * pause_s, AGAIN_AT_MOST_S)
