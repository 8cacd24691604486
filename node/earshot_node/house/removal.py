"""Takes the house out of the broker and Home Assistant: every retained message of it is removed."""

import asyncio
import secrets
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.contract.topics import Topic
from earshot_node.errors import OperatorError
from earshot_node.mqtt.connection import Connection, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import where

COLLECT_S: Final = 2.0
SETTLE_S: Final = 1.0


async def remove_house(config: NodeConfig) -> tuple[str, ...]:
    """Remove discovery, owner, report and state of the house; return the topics that were emptied.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: the house is run now, or the broker's access rules forbid it.
    """
    topics = HouseTopics(config.mqtt.prefix)
    device = topics.device(config.home_assistant.discovery_prefix)
    found: dict[str, bytes] = {}

    def received(message: Received) -> None:
        if message.retained and message.payload:
            found[message.topic] = message.payload

    connection = await Connection.open(config.mqtt, Identity(f"earshot-house-{secrets.token_hex(4)}"), received)
    try:
        filters = [Subscription(name) for name in (f"{topics.base}/#", device.name)]
        for refused in await connection.subscribe(filters):
            raise OperatorError(f"{where(config.mqtt)} does not let this user read {refused}; use one who may")
        await asyncio.sleep(COLLECT_S)
        alive = sorted(one for topic, said in found.items() if said == b"online" and (one := topics.instance(topic)))
        if alive:
            raise OperatorError(f"the house is run by {', '.join(alive)}; stop it, or set house.enabled: false there")
        # Discovery first: entities that still listened would complain about the empty payloads.
        for name in sorted(found, key=lambda name: name != device.name):
            delivery = await connection.publish(Topic(name, 1, retain=True), b"")
            if delivery.outcome is not Outcome.ACKNOWLEDGED:
                raise OperatorError(f"{where(config.mqtt)} does not take the removal of {name}; use a user who may")
            if name == device.name:
                await asyncio.sleep(SETTLE_S)
    finally:
        await connection.close()
    return tuple(sorted(found))
