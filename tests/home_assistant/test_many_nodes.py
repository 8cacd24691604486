"""A hundred nodes that announce themselves at the same moment."""

import asyncio
import json
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from support.async_waiting import until
from support.home_assistant.instance import HomeAssistant
from support.mqtt_node import node_config, running_node
from support.mqtt_subscriber import retained

from earshot_node.mqtt.unpublish import unpublish

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
NODES = 100
LONG_S = 1200.0
SOURCE = {"id": "street", "name": "Street", "type": "microphone"}


async def test_hundred_nodes_at_once_are_all_registered_and_all_removed(
    home_assistant: HomeAssistant, tmp_path: Path, report: Callable[[str], None]
) -> None:
    port = home_assistant.broker.port
    configs = [node_config(port, f"many{number}", sources=[SOURCE]) for number in range(NODES)]
    async with AsyncExitStack() as nodes:
        began_s = time.monotonic()
        for config in configs:
            await nodes.enter_async_context(running_node(config, tmp_path / config.node.id))
        announced = await until_announced(port)
        await until_registered(home_assistant, announced)
        took_s = time.monotonic() - began_s
        report(f"{NODES} nodes, {len(announced)} entities: all registered {took_s:.0f} s after the first was started")
        connections = [f"binary_sensor.many{number}_connectivity" for number in range(NODES)]
        await until(lambda: all(home_assistant.state(one) == "on" for one in connections), LONG_S, "100 connections")
    began_s = time.monotonic()
    await asyncio.gather(*(unpublish(config) for config in configs))
    await until_registered(home_assistant, set())
    report(f"all removed within {time.monotonic() - began_s:.0f} s")


async def until_announced(port: int) -> set[str]:
    """Return the unique ids of all entities when both devices of each node lie in the broker."""
    deadline_s = time.monotonic() + LONG_S
    while True:
        found = await asyncio.to_thread(retained, port, "homeassistant/device/+/+/config")
        ours = [json.loads(payload) for topic, payload in found.items() if topic.split("/")[2].startswith("many")]
        if len(ours) == 2 * NODES:
            return {part["unique_id"] for payload in ours for part in payload["components"].values()}
        assert time.monotonic() < deadline_s, f"{len(ours)} announcements"
        await asyncio.sleep(0.5)


async def until_registered(home_assistant: HomeAssistant, wanted: set[str]) -> None:
    """Return when Home Assistant holds exactly these entities of the many nodes."""
    deadline_s = time.monotonic() + LONG_S
    while True:
        found = {key for key in await asyncio.to_thread(home_assistant.entities) if key.startswith("earshot/many")}
        if found == wanted:
            return
        assert time.monotonic() < deadline_s, f"{len(found & wanted)} of {len(wanted)}, {len(found - wanted)} too many"
        await asyncio.sleep(0.5)
