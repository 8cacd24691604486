"""The same node with the demo's broker, which speaks MQTT 3.1.1 only."""

import asyncio
from pathlib import Path

from support.async_waiting import until
from support.mqtt_node import event, node_config, running_node
from support.mqtt_subscriber import Subscriber

from earshot_node.demo.broker import EmbeddedBroker


async def test_events_states_and_settings_go_both_ways(tmp_path: Path) -> None:
    base = "earshot/small/source/street/siren"
    with EmbeddedBroker() as broker, Subscriber(broker.port, "#", protocol="3.1.1") as subscriber:
        config = node_config(broker.port, "small", mqtt={"protocol": "3.1.1"})
        async with running_node(config, tmp_path / "state") as node:
            await until(lambda: subscriber.payloads("earshot/small/status") == [b"online"])
            for number in range(20):
                await node.publisher.publish_event(event(number, node="small"))
                await node.publisher.publish_event(event(number, "offset", node="small"))
            await until(lambda: node.publisher.queued == 0)
            await until(lambda: len(subscriber.on(f"{base}/offset")) == 20)
            assert [m.json["id"] for m in subscriber.on(f"{base}/onset")] == [event(n).id for n in range(20)]
            await until(
                lambda: "homeassistant/device/small/source_yard/config" in {m.topic for m in subscriber.messages}
            )
            await asyncio.to_thread(subscriber.say, f"{base}/sensitivity/set", "70")
            await until(lambda: subscriber.payloads(f"{base}/sensitivity")[-1] == b"70")
            await asyncio.to_thread(subscriber.say, f"{base}/enabled/set", "nonsense")
            await until(lambda: subscriber.on("earshot/small/reply"))
            await asyncio.to_thread(subscriber.say, "homeassistant/device/small/source_yard/config", "", retain=True)
            await until(lambda: any(entry.deleted for entry in node.store.announcements().values()))
        await until(lambda: subscriber.payloads("earshot/small/status")[-1] == b"offline")


async def test_unsupported_protocol_is_told_with_the_cure(tmp_path: Path) -> None:
    with EmbeddedBroker() as broker:
        async with running_node(node_config(broker.port, "five"), tmp_path / "state") as node:
            await until(lambda: node.publisher.problem != "")
            assert "3.1.1" in node.publisher.problem
