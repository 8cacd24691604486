"""Asks a running node for drills, over the broker."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.drill import DrillResult
from earshot_node.contract.messages import DrillCommand, Reply
from earshot_node.contract.topics import NodeTopics
from earshot_node.errors import MessageError, OperatorError, RetryError
from earshot_node.mqtt.connection import Connection, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import where

STATUS_S: Final = 3.0
ANSWER_S: Final = 90.0


async def ask_for_drills(
    config: NodeConfig, sources: Sequence[str], level_dbfs: float | None
) -> AsyncIterator[DrillResult]:
    """Have the configured node drill `sources` one after the other; yield each result.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: the node is not online, or refuses; its reason.
        RetryError: it does not answer.
    """
    topics = NodeTopics(config.mqtt.prefix, config.node.id)
    received: asyncio.Queue[Received] = asyncio.Queue()
    identity = Identity(f"earshot-drill-{secrets.token_hex(4)}")
    connection = await Connection.open(config.mqtt, identity, received.put_nowait)
    try:
        wanted = [topics.status().name, topics.reply().name, *(topics.drill_result(one).name for one in sources)]
        for refused in await connection.subscribe([Subscription(name) for name in wanted]):
            raise OperatorError(f"{where(config.mqtt)} does not let this user read {refused}; use one who may")
        await _wait_until_online(received, topics)
        for source in sources:
            command = DrillCommand(id=secrets.token_hex(8), source=source, level_dbfs=level_dbfs)
            delivery = await connection.publish(topics.command("drill"), command.encode())
            if delivery.outcome is not Outcome.ACKNOWLEDGED:
                raise OperatorError(f"{where(config.mqtt)} does not let this user write {topics.command('drill').name}")
            try:
                yield await asyncio.wait_for(_result(received, topics, command), ANSWER_S)
            except TimeoutError as error:
                raise RetryError(f"node {config.node.id} does not answer; is it of this version?") from error
    finally:
        await connection.close()


async def _wait_until_online(received: asyncio.Queue[Received], topics: NodeTopics) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(STATUS_S):
            while True:
                message = await received.get()
                if message.topic == topics.status().name:
                    if message.payload == b"online":
                        return
                    break
    raise OperatorError(f"node {topics.node} is not online; start it with `node-cli run`")


async def _result(received: asyncio.Queue[Received], topics: NodeTopics, command: DrillCommand) -> DrillResult:
    while True:
        message = await received.get()
        with contextlib.suppress(MessageError):
            if message.topic == topics.reply().name:
                reply = Reply.decode(message.payload)
                if reply.id == command.id and not reply.ok:
                    raise OperatorError(reply.reason)
            elif message.topic == topics.drill_result(command.source or "").name:
                result = DrillResult.decode(message.payload)
                if result.id == command.id:
                    return result
