"""What a subscriber and Home Assistant get from a node, with a real broker."""

import asyncio
import json
import threading
import time
from pathlib import Path

import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto, free_port
from support.mqtt_node import LONG_AGO, event, node_config, node_info, running_node
from support.mqtt_subscriber import Subscriber, retained

from earshot_node.contract.messages import EventMessage, NodeHealth, SourceHealth
from earshot_node.mqtt import publisher as publisher_module
from earshot_node.mqtt.board import Board
from earshot_node.mqtt.settings import default_settings

pytestmark = pytest.mark.mosquitto

STREET = "earshot/{node}/source/street/siren"


def a_health(problem: str = "") -> NodeHealth:
    return NodeHealth(
        state="healthy",
        problems=(problem,) if problem else (),
        real_time_factor=0.01,
        hours_listened=1,
        dropped_s=0,
        queued_events=0,
        model_version="2026.11.0",
        time=LONG_AGO,
    )


async def test_onset_turns_the_sensor_on_and_offset_off(broker: Mosquitto, tmp_path: Path) -> None:
    state = "earshot/onoff/source/street/siren/state"
    with Subscriber(broker.port, "earshot/onoff/#") as subscriber:
        async with running_node(node_config(broker.port, "onoff"), tmp_path / "state") as node:
            await until(lambda: subscriber.payloads(state) == [b"OFF"], what="OFF at start")
            await node.publisher.publish_event(event(1, node="onoff"))
            await until(lambda: subscriber.payloads(state) == [b"OFF", b"ON"], what="ON")
            await node.publisher.publish_event(event(1, "offset", node="onoff"))
            await until(lambda: subscriber.payloads(state) == [b"OFF", b"ON", b"OFF"], what="OFF")
        onset, offset = STREET.format(node="onoff") + "/onset", STREET.format(node="onoff") + "/offset"
        assert [EventMessage.decode(payload) for payload in subscriber.payloads(onset)] == [event(1, node="onoff")]
        assert subscriber.on(offset)[0].json["id"] == subscriber.on(onset)[0].json["id"]
        assert not any(heard.retained for heard in subscriber.on(onset) + subscriber.on(offset))


async def test_details_of_an_event_come_before_its_state(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "earshot/order/source/street/siren/+") as subscriber:
        async with running_node(node_config(broker.port, "order"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            await node.publisher.publish_event(event(1, node="order"))
            await until(lambda: subscriber.on("earshot/order/source/street/siren/onset"))
        heard = [(m.topic.rpartition("/")[2], m.payload) for m in subscriber.messages]
        details = next(index for index, (topic, _) in enumerate(heard) if topic == "last_event")
        assert details < heard.index(("state", b"ON"))


async def test_kind_that_becomes_clear_is_told_while_the_event_lasts_and_turns_nothing(
    broker: Mosquitto, tmp_path: Path
) -> None:
    street, name = STREET.format(node="kind"), {"kind": "wail"}
    with Subscriber(broker.port, f"{street}/+") as subscriber:
        async with running_node(node_config(broker.port, "kind"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            first, second = event(1, node="kind"), event(2, node="kind")
            node.publisher.publish_kind(first.model_copy(update=name))  # nobody has heard of it yet
            await node.publisher.publish_event(first)
            node.publisher.publish_kind(first.model_copy(update=name))
            await node.publisher.publish_event(second)
            node.publisher.publish_kind(first.model_copy(update=name))  # another one is the last
            await node.publisher.publish_event(event(2, "offset", node="kind"))
            node.publisher.publish_kind(second.model_copy(update=name))  # it has ended
            await until(lambda: len(subscriber.payloads(f"{street}/offset")) == 1, what="offset")
            # Which of an offset's messages comes last is nobody's promise.
            await until(lambda: len(subscriber.payloads(f"{street}/last_event")) >= 4, what="last event")
        told = [heard.json for heard in subscriber.on(f"{street}/last_event")]
        assert [(one["id"], one["phase"], one["kind"]) for one in told] == [
            (first.id, "onset", None),
            (first.id, "onset", "wail"),
            (second.id, "onset", None),
            (second.id, "offset", None),
        ]
        assert len(subscriber.payloads(f"{street}/onset")) == 2
        assert subscriber.payloads(f"{street}/state") == [b"OFF", b"ON", b"ON", b"OFF", b"OFF"]


async def test_start_after_a_crash_says_off_before_online(own_broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(own_broker.port, "nothing") as left_behind:
        left_behind.say("earshot/crash/source/street/siren/state", "ON", retain=True)
    with Subscriber(own_broker.port, "earshot/crash/#") as subscriber:
        async with running_node(node_config(own_broker.port, "crash"), tmp_path / "state"):
            await until(lambda: subscriber.payloads("earshot/crash/status") == [b"online"])
        topics = [(heard.topic.removeprefix("earshot/crash/"), heard.payload) for heard in subscriber.messages]
        assert topics.index(("source/street/siren/state", b"OFF")) < topics.index(("status", b"online"))
        assert ("source/yard/siren/state", b"OFF") in topics


async def test_last_event_is_told_again_to_a_broker_that_knows_nothing(
    broker: Mosquitto, own_broker: Mosquitto, tmp_path: Path
) -> None:
    topic = "earshot/keeps/source/street/siren/last_event"
    ended = event(1, "offset", node="keeps")
    async with running_node(node_config(broker.port, "keeps"), tmp_path / "state") as node:
        await node.publisher.publish_event(event(1, node="keeps"))
        await node.publisher.publish_event(ended)
    with Subscriber(own_broker.port, "earshot/keeps/#") as subscriber:
        async with running_node(node_config(own_broker.port, "keeps"), tmp_path / "state"):
            await until(lambda: subscriber.payloads(topic), 20)
        assert EventMessage.decode(subscriber.payloads(topic)[0]) == ended
        assert subscriber.payloads("earshot/keeps/source/street/siren/state") == [b"OFF", b"OFF"]
        assert subscriber.payloads("earshot/keeps/source/yard/siren/last_event") == []


async def test_clean_stop_says_off_and_offline(broker: Mosquitto, tmp_path: Path) -> None:
    async with running_node(node_config(broker.port, "stop"), tmp_path / "state") as node:
        await until(lambda: node.publisher.connected)
        await node.publisher.publish_event(event(1, node="stop"))
    lies = retained(broker.port, "earshot/stop/#")
    assert lies["earshot/stop/source/street/siren/state"] == b"OFF"
    assert lies["earshot/stop/status"] == b"offline"


async def test_on_is_repeated_while_the_event_lasts_and_the_source_lives(broker: Mosquitto, tmp_path: Path) -> None:
    state = "earshot/repeat/source/street/siren/state"
    with Subscriber(broker.port, state) as subscriber:
        async with running_node(node_config(broker.port, "repeat"), tmp_path / "state", repeat_s=0.05) as node:
            await until(lambda: node.publisher.connected)
            await node.publisher.publish_event(event(1, node="repeat"))
            await until(lambda: subscriber.payloads(state).count(b"ON") >= 4, what="ON again and again")
            await node.publisher.publish_event(event(1, "offset", node="repeat"))
            await until(lambda: subscriber.payloads(state)[-1] == b"OFF")
            seen = len(subscriber.payloads(state))
            await node.publisher.publish_event(event(2, "offset", node="repeat"))
            await until(lambda: node.publisher.queued == 0)
            assert len(subscriber.payloads(state)) == seen


async def test_offset_of_another_event_does_not_turn_off(broker: Mosquitto, tmp_path: Path) -> None:
    async with running_node(node_config(broker.port, "other"), tmp_path / "state") as node:
        await until(lambda: node.publisher.connected)
        await node.publisher.publish_event(event(2, node="other"))
        await node.publisher.publish_event(event(1, "offset", node="other"))
        await until(lambda: node.publisher.queued == 0)
        assert retained(broker.port, "earshot/other/#")["earshot/other/source/street/siren/state"] == b"ON"


async def test_disk_that_hangs_delays_no_state_and_events_are_committed_in_the_order_of_the_calls(
    broker: Mosquitto, tmp_path: Path
) -> None:
    states = {source: f"earshot/hang/source/{source}/siren/state" for source in ("street", "yard")}
    gate = threading.Event()
    with Subscriber(broker.port, "earshot/hang/source/+/siren/+") as subscriber:
        async with running_node(node_config(broker.port, "hang"), tmp_path / "state") as node:
            await until(lambda: all(subscriber.payloads(state) for state in states.values()))
            hanging = asyncio.create_task(node.publisher._disk.run(lambda: gate.wait(30)))
            await asyncio.sleep(0)
            events = [event(1, node="hang"), event(2, node="hang", source="yard"), event(1, "offset", node="hang")]
            events += [event(number, node="hang", source="yard") for number in range(3, 40)]
            tasks = [asyncio.create_task(node.publisher.publish_event(heard)) for heard in events]
            await until(lambda: subscriber.payloads(states["yard"])[-1] == b"ON", what="ON of the other source")
            await until(lambda: subscriber.payloads(states["street"]) == [b"OFF", b"ON", b"OFF"], what="OFF")
            assert not any(task.done() for task in tasks)
            assert node.store.queued() == 0
            gate.set()
            await asyncio.gather(hanging, *tasks)
            await until(lambda: node.publisher.queued == 0)
        told = [EventMessage.decode(m.payload) for m in subscriber.messages if m.topic.endswith(("/onset", "/offset"))]
    assert [(heard.id, heard.phase) for heard in told] == [(heard.id, heard.phase) for heard in events]


async def test_event_that_comes_late_to_the_publisher_turns_nothing_on(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "earshot/tardy/#") as subscriber:
        async with running_node(node_config(broker.port, "tardy"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            await node.publisher.publish_event(event(1, node="tardy"), age_s=11)
            await until(lambda: subscriber.on("earshot/tardy/source/street/siren/late"))
        assert b"ON" not in subscriber.payloads("earshot/tardy/source/street/siren/state")
        assert not subscriber.on("earshot/tardy/source/street/siren/onset")
        (late,) = subscriber.on("earshot/tardy/source/street/siren/late")
        assert late.json == json.loads(event(1, node="tardy").encode()) | {"late": True}


def test_late_onset_takes_back_neither_the_kind_nor_the_end_of_its_siren() -> None:
    config = node_config(1883, "back")
    board = Board(config, node_info(config), {("street", "siren"): default_settings(config)})
    named = event(1, node="back").model_copy(update={"kind": "wail"})
    board.onset(event(1, node="back"), 0.0)
    board.named(named)
    ((_, payload),) = board.late(event(1, node="back").model_copy(update={"late": True}))
    assert EventMessage.decode(payload) == named.model_copy(update={"late": True})
    ended = event(1, "offset", node="back")
    board.offset(ended)
    ((_, payload),) = board.late(event(1, node="back").model_copy(update={"late": True}))
    assert EventMessage.decode(payload) == ended.model_copy(update={"late": True})


async def test_kind_is_known_after_a_restart(broker: Mosquitto, tmp_path: Path) -> None:
    topic = "earshot/again/source/street/siren/last_event"
    named = event(1, node="again").model_copy(update={"kind": "hi_lo"})
    async with running_node(node_config(broker.port, "again"), tmp_path / "state") as node:
        await node.publisher.publish_event(event(1, node="again"))
        node.publisher.publish_kind(named)
        await until(lambda: node.store.last_events() == {("street", "siren"): named}, what="the kind on disk")
    with Subscriber(broker.port, topic) as subscriber:
        async with running_node(node_config(broker.port, "again"), tmp_path / "state"):
            await until(lambda: [heard for heard in subscriber.on(topic) if not heard.retained], what="last event")
        assert {heard.json["kind"] for heard in subscriber.on(topic)} == {"hi_lo"}


async def test_event_during_a_broken_connection_arrives_after_it(own_broker: Mosquitto, tmp_path: Path) -> None:
    onset = "earshot/away/source/street/siren/onset"
    async with running_node(node_config(own_broker.port, "away"), tmp_path / "state") as node:
        await until(lambda: node.publisher.connected)
        own_broker.kill()
        await until(lambda: not node.publisher.connected)
        await node.publisher.publish_event(event(1, node="away"))
        assert node.publisher.queued == 1
        assert "refused" in node.publisher.problem or "lost" in node.publisher.problem
        own_broker.start()
        with Subscriber(own_broker.port, "earshot/away/#") as subscriber:
            await until(lambda: node.publisher.connected and node.publisher.queued == 0)
            assert node.publisher.problem == ""
            lies = retained(own_broker.port, "earshot/away/#")
            assert lies["earshot/away/source/street/siren/state"] == b"ON", "the siren still sounds"
            assert lies["earshot/away/status"] == b"online"
            assert len(subscriber.on(onset)) <= 1  # it may have gone out before this subscription


async def test_node_without_broker_starts_and_stops_at_once(tmp_path: Path) -> None:
    began_s = time.monotonic()
    async with running_node(node_config(free_port()), tmp_path / "state") as node:
        await node.publisher.publish_event(event(1))
        node.publisher.publish_level("street", -40.0)
        node.publisher.publish_health(a_health())
        await until(lambda: node.publisher.problem != "")
        assert node.publisher.queued == 1
    assert time.monotonic() - began_s < 3


async def test_switched_off_mqtt_queues_nothing(tmp_path: Path) -> None:
    config = node_config(free_port(), mqtt={"enabled": False})
    async with running_node(config, tmp_path / "state") as node:
        await node.publisher.publish_event(event(1))
        assert (node.publisher.queued, node.publisher.problem) == (0, "")


async def test_unknown_source_or_label_is_a_programming_error(tmp_path: Path) -> None:
    async with running_node(node_config(free_port()), tmp_path / "state") as node:
        with pytest.raises(KeyError):
            await node.publisher.publish_event(event(1, source="cellar"))


async def test_level_and_confidence_are_thinned_out(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "earshot/thin/source/#") as subscriber:
        async with running_node(node_config(broker.port, "thin"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            for _ in range(50):
                node.publisher.publish_level("street", -40.04)
                node.publisher.publish_confidence("street", "siren", 3.2)
            await until(lambda: subscriber.on("earshot/thin/source/street/siren/confidence"))
        assert subscriber.payloads("earshot/thin/source/street/level") == [b"-40.0"]
        assert subscriber.payloads("earshot/thin/source/street/siren/confidence") == [b"3"]


async def test_everything_is_told_again_after_home_assistant_started(broker: Mosquitto, tmp_path: Path) -> None:
    health = SourceHealth(
        source="street", state="absent", problem="gone", dropped_s=0, hours_listened=0, reopened=0, time=LONG_AGO
    )
    with Subscriber(broker.port, "earshot/birth/#", "homeassistant/device/birth/#") as subscriber:
        async with running_node(node_config(broker.port, "birth"), tmp_path / "state") as node:
            await until(lambda: len({m.topic for m in subscriber.messages if "device" in m.topic}) == 3)
            node.publisher.publish_health(a_health("hot"))
            node.publisher.publish_source_health(health)
            await until(lambda: subscriber.on("earshot/birth/source/street/health"))
            subscriber.messages.clear()
            subscriber.say("homeassistant/status", "online")
            wanted = {"status", "info", "health", "source/street/health", "source/street/siren/enabled"} | {
                "source/street/siren/sensitivity",
                "source/street/siren/state",
                "source/yard/siren/state",
            }
            await until(lambda: wanted <= {m.topic.removeprefix("earshot/birth/") for m in subscriber.messages})
            await until(lambda: len({m.topic for m in subscriber.messages if "device" in m.topic}) == 3)
        assert subscriber.on("earshot/birth/health")[-1].json["problems"] == ["hot"]


async def test_retained_birth_message_does_not_repeat_everything(own_broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(own_broker.port, "homeassistant/device/#") as subscriber:
        subscriber.say("homeassistant/status", "online", retain=True)
        config = node_config(own_broker.port, "calm", sources=[{"id": "street", "type": "microphone"}])
        async with running_node(config, tmp_path / "state", birth_delay_s=(0.0, 0.0)):
            await until(lambda: len(subscriber.messages) == 2)
            with pytest.raises(AssertionError):
                await until(lambda: len(subscriber.messages) > 2, timeout_s=2)


async def test_discovery_messages_are_a_second_apart(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "homeassistant/device/apart/#") as subscriber:
        async with running_node(node_config(broker.port, "apart"), tmp_path / "state"):
            at_s = []
            for number in (1, 2, 3):
                await until(lambda number=number: len(subscriber.messages) >= number)
                at_s.append(time.monotonic())
    assert at_s[1] - at_s[0] >= 1
    assert at_s[2] - at_s[1] >= 1
    assert [m.topic.split("/")[3] for m in subscriber.messages] == ["node", "source_street", "source_yard"]


async def test_removed_source_leaves_nothing_retained(own_broker: Mosquitto, tmp_path: Path) -> None:
    both = node_config(own_broker.port, "lean")
    one = node_config(own_broker.port, "lean", sources=[{"id": "street", "type": "microphone"}])
    discovered = "homeassistant/device/lean/source_yard/config"
    async with running_node(both, tmp_path / "state") as node:
        await until(lambda: len(node.store.announcements()) == 3)
        await until(lambda: discovered in retained(own_broker.port, "homeassistant/#"))
    async with running_node(one, tmp_path / "state") as node:
        await until(lambda: discovered not in node.store.announcements())
        await until(lambda: not [topic for topic in retained(own_broker.port) if "yard" in topic])
        assert "earshot/lean/source/street/siren/state" in retained(own_broker.port)


async def test_changed_prefix_clears_the_old_topics(own_broker: Mosquitto, tmp_path: Path) -> None:
    async with running_node(node_config(own_broker.port, "moved"), tmp_path / "state") as node:
        await until(lambda: node.publisher.connected)
        await until(lambda: "earshot/moved/status" in retained(own_broker.port, "earshot/#"))
    async with running_node(node_config(own_broker.port, "moved", mqtt={"prefix": "home/ears"}), tmp_path / "state"):
        await until(lambda: not retained(own_broker.port, "earshot/#"), what="the old prefix to be empty")
        assert retained(own_broker.port, "home/#")["home/ears/moved/status"] == b"online"


async def test_lost_connection_lets_the_broker_say_offline(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "earshot/will/status") as subscriber:
        async with running_node(node_config(broker.port, "will"), tmp_path / "state") as node:
            await until(lambda: subscriber.payloads("earshot/will/status") == [b"online"])
            sock = node.publisher._client._connection._client.socket()  # type: ignore[union-attr]
            sock.shutdown(2)  # type: ignore[union-attr]
            await until(lambda: b"offline" in subscriber.payloads("earshot/will/status"), what="the will")
            await until(lambda: subscriber.payloads("earshot/will/status")[-1] == b"online", what="reconnection")


async def test_publishing_takes_a_few_milliseconds(broker: Mosquitto, tmp_path: Path) -> None:
    """A bound with much room; scripts/bench measures."""
    with Subscriber(broker.port, "earshot/fast/source/street/siren/onset") as subscriber:
        async with running_node(node_config(broker.port, "fast"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            delays_s = []
            for number in range(20):
                began_s = time.perf_counter()
                await node.publisher.publish_event(event(number, node="fast"))
                await until(lambda number=number: len(subscriber.messages) > number)
                delays_s.append(time.perf_counter() - began_s)
    assert sorted(delays_s)[10] < 0.1


async def test_offer_that_was_taken_back_while_the_broker_was_away_does_not_stand_any_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publisher_module, "OFFER_WITHIN_S", 0.3)
    topic = "earshot/offered/model/offer"
    offers: list[bytes] = []
    with Mosquitto(tmp_path, persistent=True) as broker:
        with Subscriber(broker.port, "earshot/offered/#") as trainer:
            trainer.say(topic, b"an offer", retain=True)
            await until(lambda: trainer.payloads(topic))
        config = node_config(broker.port, "offered")
        async with running_node(config, tmp_path / "state", on_offer=offers.append) as node:
            await until(lambda: offers)
            await until(lambda: "mqtt-offer" not in {task.get_name() for task in asyncio.all_tasks()})
            assert offers == [b"an offer"]
            broker.stop()
            await until(lambda: not node.publisher.connected)
            (tmp_path / "mosquitto.db").unlink()
            broker.start()
            await until(lambda: offers == [b"an offer", b""])
