"""Takes a node out of the broker and Home Assistant: every retained message of it is removed."""

import asyncio
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import Reply
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics, Topic
from earshot_node.errors import OperatorError
from earshot_node.mqtt.connection import Connection, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import ConnectError, where
from earshot_node.mqtt.store import StateStore

ANSWER_S: Final = 10.0
SETTLE_S: Final = 1.0


async def unpublish(config: NodeConfig, store: StateStore | None = None, *, force: bool = False) -> tuple[str, ...]:
    """Remove discovery, status, info, health, states and settings of the configured node from the broker.

    Args:
        config: names the node and the broker.
        store: its state file, if there is one: topics of former sources and names are removed too, and forgotten.
        force: even if the broker says that the node is online (after a broker's crash this may be untrue).

    Returns:
        The topics that were emptied.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: the node is online, or the broker's access rules forbid it.
    """
    removal = _Removal(config, NodeTopics(config.mqtt.prefix, config.node.id))
    connection = await Connection.open(config.mqtt, Identity(f"earshot-{config.node.id}-unpublish"), removal.received)
    try:
        await removal.collect(connection)
        if removal.online and not force:
            raise OperatorError(f"node {config.node.id} is online; stop it first, or use --force if it is long gone")
        if store is not None:
            removal.found |= store.retained() | set(store.announcements())
        await removal.clear(connection)
    finally:
        await connection.close()
    if store is not None:
        for name in store.announcements():
            store.forget_announcement(name)
        for name in store.departed():
            store.save_departed(name, {})
        store.forget_retained(store.retained())
    return tuple(sorted(removal.found))


class _Removal:
    def __init__(self, config: NodeConfig, topics: NodeTopics) -> None:
        self._config = config
        self._topics = topics
        self._seen_all = asyncio.Event()
        self.found: set[str] = set()
        self.online = False

    def received(self, message: Received) -> None:
        if message.topic == self._topics.reply().name:
            self._seen_all.set()
        elif message.retained and message.payload:
            self.found.add(message.topic)
            if message.topic == self._topics.status().name:
                self.online = message.payload == b"online"

    async def collect(self, connection: Connection) -> None:
        """Learn what is retained: a message of our own comes back behind all that lies there."""
        prefix = self._config.home_assistant.discovery_prefix
        filters = (f"{self._topics.base}/#", DiscoveryTopics(prefix, self._config.node.id).filter())
        for refused in await connection.subscribe([Subscription(name) for name in filters]):
            raise OperatorError(f"{where(self._config.mqtt)} does not let this user read {refused}; use one who may")
        connection.publish(self._topics.reply(), Reply(command="unpublish", ok=True).encode())
        try:
            await asyncio.wait_for(self._seen_all.wait(), ANSWER_S)
        except TimeoutError as error:
            raise ConnectError(f"{where(self._config.mqtt)} does not answer; is it overloaded?") from error

    async def clear(self, connection: Connection) -> None:
        """Discovery first: entities that still listened would complain about the empty payloads."""
        prefix = f"{self._config.home_assistant.discovery_prefix}/device/"
        announced = {name for name in self.found if name.startswith(prefix)}
        await self._clear(connection, announced)
        if announced:
            await asyncio.sleep(SETTLE_S)
        await self._clear(connection, self.found - announced)

    async def _clear(self, connection: Connection, names: set[str]) -> None:
        for name in sorted(names):
            delivery = await connection.publish(Topic(name, 1, retain=True), b"")
            if delivery.outcome is Outcome.REFUSED:
                raise OperatorError(f"{where(self._config.mqtt)} does not let this user write {name}; use one who may")
            if delivery.outcome is Outcome.LOST:
                raise ConnectError(f"lost the connection to {where(self._config.mqtt)}; run it again")
