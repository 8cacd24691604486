"""Can the broker be reached with this configuration, and may the node do there what it must?"""

import asyncio
import secrets

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import Reply
from earshot_node.contract.topics import DiscoveryTopics, NodeTopics, Topic
from earshot_node.doctor.finding import Finding, fail, ok, warn
from earshot_node.mqtt import failure
from earshot_node.mqtt.connection import Connection, Delivery, Identity, Outcome, Subscription
from earshot_node.mqtt.failure import ConnectError

_PROBE_TIMEOUT_S = 5.0
_ACL_FIX = "the broker's ACL must let this user read and write these topics; deploy/ has an example"


def check_broker(config: NodeConfig) -> list[Finding]:
    """Connect as the node would and try its rights; under another client id, so that a running node stays connected."""
    if not config.mqtt.enabled:
        return [ok("broker", "switched off")]
    return asyncio.run(_check(config))


async def _check(config: NodeConfig) -> list[Finding]:
    identity = Identity(f"earshot-doctor-{secrets.token_hex(4)}")
    try:
        connection = await Connection.open(config.mqtt, identity, lambda _: None)
    except ConnectError as error:
        what, _, fix = str(error).partition("; ")
        return [fail("broker", what, fix or "check the section mqtt of the configuration")]
    try:
        user = f" as {config.mqtt.username}" if config.mqtt.username else ""
        reached = f"{failure.where(config.mqtt)} lets the node in{user}, MQTT {config.mqtt.protocol}"
        return [ok("broker", reached), *await _check_rights(config, connection)]
    finally:
        await connection.close()


async def _check_rights(config: NodeConfig, connection: Connection) -> list[Finding]:
    topics = NodeTopics(config.mqtt.prefix, config.node.id)
    probes: list[tuple[Topic, bytes]] = [(topics.reply(), Reply(command="doctor", ok=True).encode())]
    if config.home_assistant.enabled:
        # An empty retained message clears a device that does not exist: Home Assistant has nothing to do.
        probes.append(
            (DiscoveryTopics(config.home_assistant.discovery_prefix, config.node.id).source_device("doctor"), b"")
        )
    try:
        async with asyncio.timeout(_PROBE_TIMEOUT_S):
            refused = await connection.subscribe([Subscription(one) for one in topics.command_filters()])
            deliveries = [await connection.publish(topic, payload) for topic, payload in probes]
    except TimeoutError:
        return [warn("broker rights", "the broker did not answer in time", "look at the broker's log and load")]
    denied = [f"subscribe {one}" for one in refused]
    denied += [f"publish {topic.name}" for (topic, _), one in zip(probes, deliveries, strict=True) if not _went(one)]
    if denied:
        return [fail("broker rights", f"the broker refuses: {', '.join(denied)}", _ACL_FIX)]
    if config.mqtt.protocol != "5":
        return [ok("broker rights", "commands may be subscribed; MQTT 3.1.1 does not tell about refused messages")]
    return [ok("broker rights", "the node may publish and take commands")]


def _went(delivery: Delivery) -> bool:
    return delivery.outcome is Outcome.ACKNOWLEDGED
