"""What the recorder can be set to follows the household's labels while the node runs; a choice that is left stays."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto
from support.mqtt_node import RunningNode, node_config, node_info, running_node
from support.mqtt_subscriber import Subscriber

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import NodeInfo
from earshot_node.contract.topics import NodeTopics
from earshot_node.mqtt.announcer import SPACING_S

pytestmark = pytest.mark.mosquitto
NODE_ID = "teller"
TOPICS = NodeTopics("earshot", NODE_ID)
DEVICES = f"homeassistant/device/{NODE_ID}/#"
NODE = f"homeassistant/device/{NODE_ID}/node/config"
LABEL = TOPICS.recorder_setting("label").name


def info_with(config: NodeConfig, *labels: str) -> NodeInfo:
    return node_info(config).model_copy(update={"recording_labels": (*labels, "background")})


@asynccontextmanager
async def announced(broker: Mosquitto, state: Path) -> AsyncIterator[tuple[RunningNode, NodeConfig, Subscriber]]:
    """A node whose three devices are announced, and somebody who hears all about it from then on."""
    config = node_config(broker.port, NODE_ID)
    async with running_node(config, state) as node:
        with Subscriber(broker.port, DEVICES) as first:
            await until(lambda: len(first.messages) == 3)
        with Subscriber(broker.port, DEVICES, f"{TOPICS.base}/recorder/#", TOPICS.reply().name) as home:
            await until(lambda: home.on(NODE) and home.on(LABEL))
            home.messages.clear()
            yield node, config, home


def offered(home: Subscriber) -> list[list[str]]:
    """The options of the label select in each announcement of the node's device."""
    return [one.json["components"]["record_label"]["options"] for one in home.on(NODE)]


async def test_new_label_can_be_chosen_as_soon_as_the_node_knows_it(own_broker: Mosquitto, tmp_path: Path) -> None:
    async with announced(own_broker, tmp_path / "state") as (node, config, home):
        home.say(TOPICS.set_recorder_setting("label").name, b"background")
        await until(lambda: home.payloads(LABEL) == [b"background"])
        node.publisher.publish_info(info_with(config, "siren", "tractor"))
        await until(lambda: offered(home) == [["siren", "tractor", "background"]])
        home.say(TOPICS.set_recorder_setting("label").name, b"tractor")
        await until(lambda: home.payloads(LABEL)[-1:] == [b"tractor"])
        assert set(home.payloads(LABEL)[:-1]) == {b"background"}  # nobody else changed the choice
        assert not home.on(TOPICS.reply().name)
    assert {one.topic for one in home.messages if one.topic.startswith("homeassistant/")} == {NODE}


async def test_what_does_not_change_the_options_announces_nothing(own_broker: Mosquitto, tmp_path: Path) -> None:
    async with announced(own_broker, tmp_path / "state") as (node, config, home):
        told = info_with(config, "siren", "tractor")
        node.publisher.publish_info(told)
        node.publisher.publish_info(told)
        node.publisher.publish_info(told.model_copy(update={"name": "Another"}))
        node.publisher.publish_info(info_with(config, "siren", "tractor", "dog"))  # waits its turn behind the first
        await until(lambda: offered(home)[-1:] == [["siren", "tractor", "dog", "background"]])
        with pytest.raises(AssertionError):
            await until(lambda: len(home.on(NODE)) > 2, timeout_s=2 * SPACING_S)


async def test_choice_that_is_gone_becomes_the_first_before_its_option_goes(
    own_broker: Mosquitto, tmp_path: Path
) -> None:
    async with announced(own_broker, tmp_path / "state") as (node, config, home):
        node.publisher.publish_info(info_with(config, "siren", "tractor"))
        await until(lambda: len(home.on(NODE)) == 1)
        home.say(TOPICS.set_recorder_setting("label").name, b"tractor")
        await until(lambda: home.payloads(LABEL)[-1:] == [b"tractor"])
        home.messages.clear()
        node.publisher.publish_info(info_with(config, "siren"))
        await until(lambda: offered(home) == [["siren", "background"]])
        assert home.payloads(LABEL) == [b"siren"]
        assert [one.topic for one in home.messages if one.topic in (LABEL, NODE)] == [LABEL, NODE]
        home.say(TOPICS.set_recorder_setting("label").name, b"tractor")
        await until(lambda: home.on(TOPICS.reply().name))
        assert "expected one of siren, background" in home.on(TOPICS.reply().name)[0].json["reason"]


async def test_label_that_came_while_the_broker_was_away_is_announced_when_it_is_back(
    own_broker: Mosquitto, tmp_path: Path
) -> None:
    async with announced(own_broker, tmp_path / "state") as (node, config, _):
        own_broker.stop()
        await until(lambda: not node.publisher.connected)
        node.publisher.publish_info(info_with(config, "siren", "tractor"))
        own_broker.start()
        await until(lambda: node.publisher.connected)
        with Subscriber(own_broker.port, NODE) as home:
            await until(lambda: offered(home)[-1:] == [["siren", "tractor", "background"]])
