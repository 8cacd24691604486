"""What a node no longer has is gone from Home Assistant, and what a person deleted there stays away."""

import asyncio
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.async_waiting import until
from support.home_assistant.instance import HomeAssistant
from support.mqtt_node import node_config, running_node
from support.mqtt_subscriber import retained

from earshot_node.contract.config import NodeConfig
from earshot_node.mqtt.store import StateStore
from earshot_node.mqtt.unpublish import unpublish

pytestmark = [pytest.mark.home_assistant, pytest.mark.mosquitto]
STREET = {"id": "street", "name": "Street", "type": "microphone"}
YARD = {"id": "yard", "name": "Yard", "type": "microphone"}
SOON_S = 240.0


class Registry:
    """What Home Assistant holds of one node; asked beside the loop, in which the node lives."""

    def __init__(self, home_assistant: HomeAssistant, node_id: str) -> None:
        self._home_assistant = home_assistant
        self._prefix = f"earshot/{node_id}"

    async def devices(self) -> dict[str, str]:
        """Return the names by identifier."""
        found = await asyncio.to_thread(self._home_assistant.devices)
        return {key: one["name"] for key, one in found.items() if self._is_ours(key)}

    async def entities(self) -> set[str]:
        """Return the unique ids."""
        return {key for key in await asyncio.to_thread(self._home_assistant.entities) if self._is_ours(key)}

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        """Return when a coroutine function's result is true."""
        deadline = asyncio.get_running_loop().time() + SOON_S
        while not await condition():
            assert asyncio.get_running_loop().time() < deadline, f"{what}: {await self.devices()}"
            await asyncio.sleep(0.2)

    async def until_devices(self, **names: str) -> None:
        """Return when there are exactly these; `node` is the node itself, the others are its sources."""
        wanted = {self._prefix + ("" if key == "node" else f"/{key}"): name for key, name in names.items()}

        async def is_so() -> bool:
            return await self.devices() == wanted

        await self.until(is_so, f"exactly {wanted}")

    async def until_without(self, *parts: str) -> None:
        """Return when no unique id holds one of `parts`."""

        async def is_so() -> bool:
            return not [key for key in await self.entities() for part in parts if part in key]

        await self.until(is_so, f"nothing of {parts}")

    def _is_ours(self, key: str) -> bool:
        return key == self._prefix or key.startswith(f"{self._prefix}/")


def house(home_assistant: HomeAssistant, node_id: str, *sources: dict[str, str], **sections: Any) -> NodeConfig:
    return node_config(home_assistant.broker.port, node_id, sources=list(sources), **sections)


async def test_renamed_removed_and_relabelled_leaves_nothing_behind(
    home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    state, registry = tmp_path / "state", Registry(home_assistant, "moved")
    node = partial(house, home_assistant, "moved")
    async with running_node(node(STREET, YARD, labels=("siren", "horn")), state):
        await registry.until_devices(node="Hall", street="Street", yard="Yard")
        kept = next(
            one for key, one in (await entities(home_assistant)).items() if key == "earshot/moved/street/siren/sound"
        )
    async with running_node(node(STREET | {"name": "Front door"}, node={"name": "Cellar"}), state):
        await registry.until_devices(node="Cellar", street="Front door")
        await registry.until_without("/horn/", "/yard/")
        after = await entities(home_assistant)
        assert after["earshot/moved/street/siren/sound"]["id"] == kept["id"]
        assert len(after) > 20
    with closing(StateStore(state)) as store:
        await unpublish(node(STREET), store)
    await registry.until_devices()
    assert await registry.entities() == set()
    assert retained(home_assistant.broker.port, "earshot/moved/#", "homeassistant/device/moved/#") == {}


async def entities(home_assistant: HomeAssistant) -> dict[str, Any]:
    return await asyncio.to_thread(home_assistant.entities)


async def test_entity_that_a_person_disabled_does_not_drag_its_device_away_when_its_label_goes(
    home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    """Home Assistant keeps such an entity, disabled as it is; 2026.2 empties the topic, and is told all again."""
    state, registry = tmp_path / "state", Registry(home_assistant, "trimmed")
    node = partial(house, home_assistant, "trimmed", STREET)
    async with running_node(node(labels=("siren", "horn")), state):
        await registry.until_devices(node="Hall", street="Street")
        horn = (await entities(home_assistant))["earshot/trimmed/street/horn/sound"]["entity_id"]
        await asyncio.to_thread(
            home_assistant.api.command, "config/entity_registry/update", entity_id=horn, disabled_by="user"
        )
    async with running_node(node(labels=("siren", "horn")), state):
        await until(lambda: home_assistant.state("binary_sensor.trimmed_street_siren") == "off", SOON_S, "the siren")
    async with running_node(node(labels=("siren",)), state) as running:
        await registry.until_without("/horn/event", "/horn/confidence", "/horn/sensitivity")

        def is_told(dbfs: float) -> bool:
            running.publisher.publish_level("street", dbfs)  # which sends one every 5 s
            return home_assistant.number("sensor.trimmed_street_sound_level") == dbfs

        for dbfs in (-33.0, -34.0):  # what Home Assistant says in answer to the first has come back before the second
            await until(partial(is_told, dbfs), SOON_S, "a level")
        await until(lambda: home_assistant.state("binary_sensor.trimmed_street_siren") == "off", SOON_S, "the siren")
        topic = "homeassistant/device/trimmed/source_street/config"

        async def is_announced() -> bool:
            return topic in await asyncio.to_thread(retained, home_assistant.broker.port, topic)

        await registry.until(is_announced, "the announcement")


async def test_device_deleted_in_home_assistant_stays_away(home_assistant: HomeAssistant, tmp_path: Path) -> None:
    state, registry = tmp_path / "state", Registry(home_assistant, "unwanted")
    node = partial(house, home_assistant, "unwanted", STREET, YARD)
    async with running_node(node(), state):
        await registry.until_devices(node="Hall", street="Street", yard="Yard")
        await asyncio.to_thread(home_assistant.delete_device, "earshot/unwanted/yard")
        await registry.until_devices(node="Hall", street="Street")
    async with running_node(node(), state) as running:
        await until(lambda: running.publisher.connected, SOON_S)
        await until(lambda: home_assistant.state("binary_sensor.unwanted_street_siren") == "off", SOON_S)
        assert await registry.devices() == {"earshot/unwanted": "Hall", "earshot/unwanted/street": "Street"}
    async with running_node(node(node={"area": "Attic"}), state):  # a changed configuration is another matter
        await registry.until_devices(node="Hall", street="Street", yard="Yard")


async def test_what_goes_while_home_assistant_is_down_is_gone_when_it_is_back(
    home_assistant: HomeAssistant, tmp_path: Path
) -> None:
    state, registry = tmp_path / "state", Registry(home_assistant, "thinned")
    node = partial(house, home_assistant, "thinned")
    async with running_node(node(STREET, YARD, labels=("siren", "horn")), state):
        await registry.until_devices(node="Hall", street="Street", yard="Yard")
        await until(lambda: home_assistant.state("binary_sensor.thinned_street_horn") == "off", SOON_S, "the horn")
    await asyncio.to_thread(home_assistant.stop)
    topics = {f"homeassistant/device/thinned/{part}/config" for part in ("node", "source_street")}
    try:
        async with running_node(node(STREET), state):

            async def is_cleared() -> bool:
                filled = await asyncio.to_thread(retained, home_assistant.broker.port, "homeassistant/device/thinned/#")
                return set(filled) == topics and not any(b"_horn" in payload for payload in filled.values())

            await registry.until(is_cleared, "an empty topic")
            await asyncio.to_thread(home_assistant.start)
            await registry.until_devices(node="Hall", street="Street")
            await registry.until_without("/horn/", "/yard/")
            await until(lambda: home_assistant.state("binary_sensor.thinned_street_siren") == "off", SOON_S)
    finally:
        if not home_assistant.process.running:
            await asyncio.to_thread(home_assistant.start)
