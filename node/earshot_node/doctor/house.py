"""Is the house run once, and may this node run it?"""

import asyncio
import secrets
from typing import Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.house import HouseOwner
from earshot_node.contract.house_topics import HouseTopics
from earshot_node.doctor.finding import Finding, fail, ok, warn
from earshot_node.errors import MessageError
from earshot_node.mqtt.connection import Connection, Identity, Outcome, Received, Subscription
from earshot_node.mqtt.failure import ConnectError

_WAIT_S: Final = 1.5
_ACL_FIX: Final = "the broker's access rules must let this user do so; docs/drill-and-house.md has the lines"


def check_house(config: NodeConfig) -> list[Finding]:
    """Ask the broker who runs the house; nothing where this node does not, or the broker cannot be reached."""
    if not (config.house.enabled and config.mqtt.enabled):
        return []
    try:
        return [asyncio.run(_check(config))]
    except ConnectError:
        return []  # the broker's own check has said so


async def _check(config: NodeConfig) -> Finding:
    topics = HouseTopics(config.mqtt.prefix)
    found: dict[str, bytes] = {}

    def received(message: Received) -> None:
        found[message.topic] = message.payload

    connection = await Connection.open(config.mqtt, Identity(f"earshot-doctor-{secrets.token_hex(4)}"), received)
    try:
        filters = [Subscription(name) for name in (*topics.own_filters(), *topics.node_filters())]
        refused = await connection.subscribe(filters)
        # An empty message clears what nobody has put there: only the right to write is tried.
        written = await asyncio.wait_for(connection.publish(topics.alive("doctor"), b""), 5.0)
        await asyncio.sleep(_WAIT_S)
    except TimeoutError:
        return warn("house", "the broker did not answer in time", "look at the broker's log and load")
    finally:
        await connection.close()
    if refused:
        return fail("house", f"the broker refuses: subscribe {', '.join(refused)}", _ACL_FIX)
    if written.outcome is not Outcome.ACKNOWLEDGED:
        return fail("house", f"the broker refuses: publish below {topics.base}", _ACL_FIX)
    owner = _owner(found.get(topics.owner().name, b""))
    if owner in ("", config.node.id):
        return ok("house", "run by this node" if owner else "this node will run it")
    if found.get(topics.alive(owner).name) == b"online":
        what = f"{owner} runs the house already; this node stands by, and takes over when {owner} is away"
        return warn("house", what, "set house.enabled: false on one of them, unless that is wanted")
    return ok("house", f"{owner} ran it and is away; this node takes over")


def _owner(payload: bytes) -> str:
    try:
        return HouseOwner.decode(payload).owner if payload else ""
    except MessageError:
        return ""
