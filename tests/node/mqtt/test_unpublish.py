"""After `unpublish` the broker knows nothing of the node."""

from contextlib import closing
from pathlib import Path

import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto, free_port
from support.mqtt_node import event, node_config, running_node
from support.mqtt_subscriber import Subscriber, retained

from earshot_node.demo.broker import EmbeddedBroker
from earshot_node.errors import OperatorError
from earshot_node.mqtt.failure import ConnectError
from earshot_node.mqtt.store import StateStore
from earshot_node.mqtt.unpublish import unpublish


@pytest.mark.mosquitto
async def test_everything_retained_is_removed_and_others_are_left(own_broker: Mosquitto, tmp_path: Path) -> None:
    config = node_config(own_broker.port, "gone", sources=[{"id": "street", "type": "microphone"}])
    other = {"earshot/gone2/status": b"online", "homeassistant/device/gone2/node/config": b"{}"}
    with Subscriber(own_broker.port, "nothing") as neighbour:
        for topic, payload in other.items():
            neighbour.say(topic, payload, retain=True)
    async with running_node(config, tmp_path / "state") as node:
        await until(lambda: len(node.store.announcements()) == 2)
        await node.publisher.publish_event(event(1, node="gone"))
        await until(lambda: node.publisher.queued == 0)
        await until(lambda: "homeassistant/device/gone/source_street/config" in retained(own_broker.port))
    assert len(retained(own_broker.port)) > 8
    with closing(StateStore(tmp_path / "state")) as store:
        removed = await unpublish(config, store)
        assert store.announcements() == {}
        assert store.retained() == set()
    assert "earshot/gone/source/street/siren/last_event" in removed
    assert retained(own_broker.port) == other


@pytest.mark.mosquitto
async def test_without_a_state_file_the_broker_tells_what_is_there(own_broker: Mosquitto, tmp_path: Path) -> None:
    config = node_config(own_broker.port, "lost")
    async with running_node(config, tmp_path / "state") as node:
        await until(lambda: node.publisher.connected)
        await until(lambda: "earshot/lost/status" in retained(own_broker.port))
    with Subscriber(own_broker.port, "nothing") as past:
        past.say("earshot/lost/source/cellar/siren/state", "ON", retain=True)
    assert "earshot/lost/source/cellar/siren/state" in await unpublish(config)
    assert retained(own_broker.port) == {}


@pytest.mark.mosquitto
async def test_running_node_is_not_unpublished_unless_forced(own_broker: Mosquitto, tmp_path: Path) -> None:
    config = node_config(own_broker.port, "alive")
    with Subscriber(own_broker.port, "nothing") as crashed:
        crashed.say("earshot/alive/status", "online", retain=True)
    with pytest.raises(OperatorError, match="stop it first"):
        await unpublish(config)
    assert retained(own_broker.port) == {"earshot/alive/status": b"online"}
    assert await unpublish(config, force=True) == ("earshot/alive/status",)
    assert retained(own_broker.port) == {}


@pytest.mark.mosquitto
async def test_user_without_rights_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "acl"
    rules.write_text("topic read #\ntopic readwrite earshot/shy/reply\n")
    with Mosquitto(tmp_path, extra=f"acl_file {rules}") as broker:
        config = node_config(broker.port, "shy")
        with closing(StateStore(tmp_path / "state")) as store:
            store.add_retained(["earshot/shy/status"])
            with pytest.raises(OperatorError, match="does not let this user write earshot/shy/status"):
                await unpublish(config, store)
            assert store.retained() == {"earshot/shy/status"}


async def test_absent_broker_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConnectError, match="refused"):
        await unpublish(node_config(free_port()))


async def test_works_with_the_embedded_broker(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        config = node_config(broker.port, "tiny", mqtt={"protocol": "3.1.1"})
        async with running_node(config, tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            await until(lambda: "earshot/tiny/status" in retained(broker.port, protocol="3.1.1"))
        assert "earshot/tiny/status" in await unpublish(config)
        assert not [topic for topic in retained(broker.port, protocol="3.1.1") if "tiny" in topic]
