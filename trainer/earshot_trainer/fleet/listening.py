"""Listens at the broker: once for what lies there, or for as long as somebody watches."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Final

from earshot_node.contract.config import MqttSection
from earshot_node.errors import OperatorError
from earshot_node.mqtt.connection import Connection, Identity, Received, Subscription
from earshot_node.mqtt.failure import where
from earshot_trainer.fleet.board import FleetBoard

QUIET_S: Final = 0.5
AT_MOST_S: Final = 5.0
_REDRAW_S: Final = 0.5


async def read_fleet(config: MqttSection, board: FleetBoard) -> None:
    """Push what is retained into the board: all that comes until the broker has been quiet for a moment.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: it does not let this user read.
    """
    came = asyncio.Event()

    def push(message: Received) -> None:
        board.push(message)
        came.set()

    connection = await _open(config, board, push)
    try:
        async with asyncio.timeout(AT_MOST_S):
            while True:
                came.clear()
                await asyncio.wait_for(came.wait(), QUIET_S)
    except TimeoutError:
        pass
    finally:
        await connection.close()


async def watch_fleet(config: MqttSection, board: FleetBoard, redraw: Callable[[], None]) -> None:
    """Push whatever comes into the board and redraw, until cancelled or the connection ends.

    Raises:
        ConnectError: the broker cannot be reached.
        OperatorError: it does not let this user read, or the connection broke.
    """
    connection = await _open(config, board, board.push)
    try:
        while not connection.closed.done():
            redraw()
            await asyncio.wait({connection.closed}, timeout=_REDRAW_S)
    finally:
        await connection.close()
    raise OperatorError(connection.closed.result() or "the connection to the broker was closed")


async def _open(config: MqttSection, board: FleetBoard, push: Callable[[Received], None]) -> Connection:
    connection = await Connection.open(config, Identity(f"earshot-trainer-{secrets.token_hex(4)}"), push)
    refused = await connection.subscribe([Subscription(name) for name in board.filters()])
    if refused:
        await connection.close()
        raise OperatorError(f"{where(config)} does not let this user read {refused[0]}; set mqtt.username")
    return connection
