"""Learns from the broker where nodes answer; only what a node has proven with its token is believed."""

import asyncio
import logging
from datetime import UTC, datetime

from earshot_node.contract.node_address import NodeAddress, is_proven
from earshot_node.errors import OperatorError
from earshot_node.mqtt.failure import ConnectError
from earshot_trainer.catalogue.members import Members
from earshot_trainer.fleet.board import FleetBoard
from earshot_trainer.fleet.listening import read_fleet
from earshot_trainer.home.folder import Home

_log = logging.getLogger(__name__)


def learn_addresses(home: Home, members: Members) -> None:
    """Ask the broker once; without it, what was known before stands, and the log says so."""
    board = FleetBoard(home.config.mqtt.prefix, tuple(one.id for one in members.all()))
    try:
        asyncio.run(read_fleet(home.config.mqtt, board))
    except (ConnectError, OperatorError) as error:
        _log.info("where nodes answer is not asked: %s", error)
        return
    for node, address in board.addresses().items():
        take_address(members, node, address)


def take_address(members: Members, node: str, address: NodeAddress) -> None:
    """Keep one node's address if it is proven.

    Raises:
        OperatorError: the catalogue cannot be written.
    """
    token = next((one.token for one in members.all() if one.id == node), "")
    if not is_proven(address, token, node):
        _log.warning("%s: the address that is told for it is not its own word; passed over", node)
    elif members.note_address(node, address.url.rstrip("/"), address.certificate, datetime.now(UTC)):
        _log.info("%s answers at %s", node, address.url)
