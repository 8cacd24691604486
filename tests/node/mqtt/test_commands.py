"""Commands from anybody: right ones are kept and echoed, wrong ones are answered, none ever breaks anything."""

import asyncio
import logging
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.async_waiting import until
from support.mosquitto import Mosquitto, free_port
from support.mqtt_node import event, node_config, node_info, running_node
from support.mqtt_subscriber import Subscriber, retained

from earshot_node.contract.messages import Command, Reply
from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint
from earshot_node.contract.topics import NodeTopics
from earshot_node.errors import OperatorError
from earshot_node.mqtt.board import Board, Message
from earshot_node.mqtt.command_desk import CommandDesk
from earshot_node.mqtt.commands import NodeRequest, Refusal, SettingRequest, read_command
from earshot_node.mqtt.connection import Received
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.kept_settings import KeptSettings
from earshot_node.mqtt.settings import CommandedSettings, LabelSettings, SettingChange
from earshot_node.mqtt.store import StateStore

CONFIG = node_config(1883)
TOPICS = NodeTopics("earshot", "hall")
SENSITIVITY = TOPICS.set_setting("street", "siren", "sensitivity").name
ENABLED = TOPICS.set_setting("street", "siren", "enabled").name


def read(topic: str, payload: bytes, *, kept: bool = False) -> SettingRequest | NodeRequest | Refusal | None:
    return read_command(CONFIG, TOPICS, {"announce"}, Received(topic, payload, kept))


@pytest.mark.parametrize(
    ("payload", "value"), [(b"0", 0), (b"100", 100), (b"50.0", 50), (b"33.333", 33.333), (b"007", 7)]
)
def test_number_in_range_is_a_sensitivity(payload: bytes, value: float) -> None:
    assert read(SENSITIVITY, payload) == SettingRequest("street", "siren", "sensitivity", value)


@pytest.mark.parametrize(
    "payload",
    [b"", b"-1", b"101", b"100.001", b"nan", b"inf", b"1e1", b" 5", b"5\n", b"1_0", b"\xd9\xa3", b"\xff", b"0" * 4000],
)
def test_anything_else_is_no_sensitivity(payload: bytes) -> None:
    refusal = read(SENSITIVITY, payload)
    assert isinstance(refusal, Refusal)
    assert (refusal.command, refusal.reason) == ("source/street/siren/sensitivity", "expected a number from 0 to 100")
    assert refusal.setting is not None


@pytest.mark.parametrize(("payload", "value"), [(b"ON", True), (b"OFF", False)])
def test_switch_takes_on_and_off(payload: bytes, value: bool) -> None:
    assert read(ENABLED, payload) == SettingRequest("street", "siren", "enabled", value)


@pytest.mark.parametrize("payload", [b"on", b"1", b"true", b"", b"ON ", b"\x00"])
def test_anything_else_is_no_switch(payload: bytes) -> None:
    refusal = read(ENABLED, payload)
    assert isinstance(refusal, Refusal)
    assert refusal.reason == "expected ON or OFF"


@pytest.mark.parametrize(
    ("topic", "reason"),
    [
        (TOPICS.set_setting("cellar", "siren", "enabled").name, "this node has no source 'cellar'"),
        (TOPICS.set_setting("street", "dog", "enabled").name, "this node does not listen for 'dog'"),
        ("earshot/hall/source/STREET/siren/enabled/set", "no such command"),
        (TOPICS.command("explode").name, "unknown command; known are: announce"),
    ],
)
def test_unknown_address_is_refused_with_a_reason(topic: str, reason: str) -> None:
    refusal = read(topic, b"{}")
    assert isinstance(refusal, Refusal)
    assert refusal.reason == reason


@pytest.mark.parametrize("topic", [SENSITIVITY, ENABLED, TOPICS.command("announce").name])
def test_retained_command_is_refused_and_its_removal_ignored(topic: str) -> None:
    refusal = read(topic, b"ON", kept=True)
    assert isinstance(refusal, Refusal)
    assert "retain" in refusal.reason
    assert read(topic, b"", kept=True) is None


def test_sensitivity_fixed_by_the_configuration_is_refused() -> None:
    point = OperatingPoint(enter=0.6, leave=0.4, min_length_s=1, bridging_s=1, cooldown_s=5)
    config = node_config(1883, detection={"operating_points": {"siren": point}})
    refusal = read_command(config, TOPICS, (), Received(SENSITIVITY, b"10", retained=False))
    assert isinstance(refusal, Refusal)
    assert "configuration" in refusal.reason


def test_node_command_keeps_its_id_in_answer_and_refusal() -> None:
    assert read(TOPICS.command("announce").name, b'{"id": "a1"}') == NodeRequest("announce", Command(id="a1"))
    assert read(TOPICS.command("announce").name, b"") == NodeRequest("announce", Command())
    refused = read(TOPICS.command("explode").name, b'{"id": "a1"}')
    assert isinstance(refused, Refusal)
    assert refused.id == "a1"


command_topics = st.one_of(
    st.sampled_from([SENSITIVITY, ENABLED, TOPICS.command("announce").name, TOPICS.command("x").name]),
    st.text(max_size=60).map(lambda text: f"earshot/hall/command/{text}"),
    st.text(max_size=60).map(lambda text: f"earshot/hall/source/{text}/siren/enabled/set"),
    st.text(max_size=60).map(lambda text: f"earshot/hall/source/street/{text}/sensitivity/set"),
)
payloads = st.one_of(st.binary(max_size=80), st.sampled_from([b"ON", b"OFF", b"12", b"{}"]), st.text().map(str.encode))


@settings(deadline=None, max_examples=60)
@given(messages=st.lists(st.tuples(command_topics, payloads, st.booleans()), max_size=8))
def test_any_bytes_on_any_command_topic_never_raise_and_never_change_silently(
    tmp_path_factory: pytest.TempPathFactory, messages: list[tuple[str, bytes, bool]]
) -> None:
    """Whatever comes: settings change only by a request that is read as one, and then they are told and echoed."""

    async def deal() -> None:
        sent: list[Message] = []
        changes: list[SettingChange] = []
        kept_settings = {(s.id, label): LabelSettings(True, 50.0) for s in CONFIG.sources for label in CONFIG.labels}
        board = Board(CONFIG, node_info(CONFIG), kept_settings)
        store = StateStore(tmp_path_factory.mktemp("desk") / "state")
        disk = DiskThread()
        desk = CommandDesk(
            CONFIG,
            board,
            KeptSettings(store, disk),
            send=sent.extend,
            on_setting=lambda _source, _label, change: changes.append(change),
            actions={"announce": lambda _command: None},
        )
        for topic, payload, kept in messages:
            before, told, heard = dict(board.settings), len(sent), len(changes)
            await desk._do(Received(topic, payload, kept))
            if board.settings != before:
                assert isinstance(read(topic, payload, kept=kept), SettingRequest)
                assert len(changes) == heard + 1
                for key, commanded in store.settings().items():
                    assert commanded.over(board.settings[key]) == board.settings[key]
            else:
                assert len(changes) == heard
            for out, content in sent[told:]:
                if out == TOPICS.reply():
                    reply = Reply.decode(content)
                    assert reply.ok != bool(reply.reason)
            if not (kept and not payload):
                assert len(sent) > told, "an answer"
        disk.close()
        store.close()

    asyncio.run(deal())


async def test_failing_command_action_is_answered_with_its_reason(tmp_path: Path) -> None:
    sent: list[Message] = []

    def fail(_command: Command) -> None:
        raise OperatorError("no room on the disk")

    store, disk = StateStore(tmp_path / "state"), DiskThread()
    board = Board(CONFIG, node_info(CONFIG), {})
    desk = CommandDesk(
        CONFIG, board, KeptSettings(store, disk), send=sent.extend, on_setting=lambda *_: None, actions={"update": fail}
    )
    await desk._do(Received(TOPICS.command("update").name, b'{"id": "u7"}', retained=False))
    disk.close()
    store.close()
    assert [Reply.decode(payload) for _, payload in sent] == [
        Reply(id="u7", command="update", ok=False, reason="no room on the disk")
    ]


@pytest.mark.mosquitto
async def test_settings_work_live_and_survive_a_restart(broker: Mosquitto, tmp_path: Path) -> None:
    config = node_config(broker.port, "keep")
    base = "earshot/keep/source/street/siren"
    with Subscriber(broker.port, f"{base}/+") as subscriber:
        async with running_node(config, tmp_path / "state") as node:
            await until(lambda: subscriber.payloads(f"{base}/enabled") == [b"ON"])
            subscriber.say(f"{base}/enabled/set", "OFF")
            subscriber.say(f"{base}/sensitivity/set", "62.5")
            await until(lambda: subscriber.payloads(f"{base}/sensitivity")[-1:] == [b"62.5"])
            assert subscriber.payloads(f"{base}/enabled")[-1] == b"OFF"
            assert node.changes == [
                ("street", "siren", SettingChange("enabled", LabelSettings(False, 50.0))),
                ("street", "siren", SettingChange("sensitivity", LabelSettings(False, 62.5))),
            ]
        async with running_node(config, tmp_path / "state") as node:
            assert node.publisher.settings("street", "siren") == LabelSettings(False, 62.5)
            assert node.publisher.settings("yard", "siren") == LabelSettings(True, 50.0)
            await until(lambda: node.publisher.connected)
    lies = retained(broker.port, f"{base}/+")
    assert (lies[f"{base}/enabled"], lies[f"{base}/sensitivity"]) == (b"OFF", b"62.5")


@pytest.mark.mosquitto
async def test_switching_off_ends_an_event_that_lasts(broker: Mosquitto, tmp_path: Path) -> None:
    base = "earshot/cut/source/street/siren"
    with Subscriber(broker.port, f"{base}/state") as subscriber:
        async with running_node(node_config(broker.port, "cut"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            await node.publisher.publish_event(event(1, node="cut"))
            await until(lambda: subscriber.payloads(f"{base}/state")[-1:] == [b"ON"])
            subscriber.say(f"{base}/enabled/set", "OFF")
            await until(lambda: subscriber.payloads(f"{base}/state")[-1] == b"OFF")
            await node.publisher.publish_event(event(2, node="cut"))
            await until(lambda: node.publisher.queued == 0)
            assert subscriber.payloads(f"{base}/state")[-1] == b"OFF"


@pytest.mark.mosquitto
async def test_wrong_setting_is_answered_and_the_current_value_told(broker: Mosquitto, tmp_path: Path) -> None:
    base = "earshot/wrong/source/street/siren"
    with Subscriber(broker.port, "earshot/wrong/#") as subscriber:
        async with running_node(node_config(broker.port, "wrong"), tmp_path / "state") as node:
            await until(lambda: len(subscriber.payloads(f"{base}/sensitivity")) == 1)
            subscriber.say(f"{base}/sensitivity/set", "loud")
            await until(lambda: subscriber.on("earshot/wrong/reply"))
            assert node.changes == []
        (reply,) = subscriber.on("earshot/wrong/reply")
        assert reply.json["reason"] == "expected a number from 0 to 100"
        assert reply.json["ok"] is False
        assert subscriber.payloads(f"{base}/sensitivity") == [b"50", b"50"]


@pytest.mark.mosquitto
async def test_retained_setting_is_refused_with_a_warning(
    own_broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = "earshot/stale/source/street/siren"
    with Subscriber(own_broker.port, "earshot/stale/reply") as subscriber, caplog.at_level(logging.WARNING):
        subscriber.say(f"{base}/enabled/set", "OFF", retain=True)
        async with running_node(node_config(own_broker.port, "stale"), tmp_path / "state") as node:
            await until(lambda: len(subscriber.messages) == 1)
            subscriber.say(f"{base}/sensitivity/set", "10", retain=True)
            await until(lambda: len(subscriber.messages) == 2)
            assert node.changes == []
    assert [heard.json["command"].rpartition("/")[2] for heard in subscriber.messages] == ["enabled", "sensitivity"]
    assert all("retain" in heard.json["reason"] for heard in subscriber.messages)
    assert "retained commands are refused" in caplog.text


@pytest.mark.mosquitto
async def test_unknown_node_command_is_answered_by_its_id(broker: Mosquitto, tmp_path: Path) -> None:
    with Subscriber(broker.port, "earshot/cmd/reply") as subscriber:
        async with running_node(node_config(broker.port, "cmd"), tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            await until(lambda: "earshot/cmd/status" in retained(broker.port, "earshot/cmd/#"))
            subscriber.say("earshot/cmd/command/explode", '{"id": "x9"}')
            await until(lambda: subscriber.messages)
        assert subscriber.messages[0].json == {
            "schema": 1,
            "id": "x9",
            "command": "explode",
            "ok": False,
            "reason": "unknown command; known are: announce",
        }


async def test_setting_that_the_disk_refuses_works_is_told_and_kept_later(tmp_path: Path) -> None:
    config = node_config(free_port())
    with closing(StateStore(tmp_path / "state")) as store:
        disk = DiskThread()
        kept = KeptSettings(store, disk, save_again_s=0.02)
        saving = asyncio.create_task(kept.run())
        store._database._connection.execute("PRAGMA query_only=ON")
        await kept.keep(("street", "siren"), 10.0)
        assert store.settings() == {}
        assert "readonly" in disk.problem
        await disk.run(lambda: None, writes=False)
        assert disk.problem != "", "reading goes well all the time"
        store._database._connection.execute("PRAGMA query_only=OFF")
        await until(lambda: disk.problem == "")
        saving.cancel()
        disk.close()
    async with running_node(config, tmp_path / "state") as node:
        assert node.publisher.settings("street", "siren") == LabelSettings(True, 10)


async def test_unsaved_setting_is_written_with_the_next_one(tmp_path: Path) -> None:
    with closing(StateStore(tmp_path / "state")) as store:
        disk = DiskThread()
        kept = KeptSettings(store, disk)
        store._database._connection.execute("PRAGMA query_only=ON")
        await kept.keep(("street", "siren"), 10.0)
        store._database._connection.execute("PRAGMA query_only=OFF")
        await kept.keep(("yard", "siren"), False)
        disk.close()
        assert store.settings() == {
            ("street", "siren"): CommandedSettings(sensitivity=10),
            ("yard", "siren"): CommandedSettings(enabled=False),
        }


async def test_full_disk_does_not_keep_a_setting_from_working_and_is_the_problem(tmp_path: Path) -> None:
    async with running_node(node_config(free_port()), tmp_path / "state") as node:
        node.store.close()
        desk = node.publisher._desk
        await desk._do(Received(SENSITIVITY, b"10", retained=False))
        assert node.publisher.settings("street", "siren").sensitivity == 10
        assert len(node.changes) == 1
        assert "state file" in node.publisher.problem


async def test_switch_does_not_fix_the_sensitivity_of_the_configuration(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_node(node_config(free_port()), tmp_path / "state") as node:
        await node.publisher._desk._do(Received(ENABLED, b"OFF", retained=False))
    changed = node_config(free_port(), detection={"preset": "quiet"})
    with caplog.at_level(logging.INFO):
        async with running_node(changed, tmp_path / "state") as node:
            assert node.publisher.settings("street", "siren") == LabelSettings(False, PRESET_SENSITIVITY["quiet"])
    told = [record.message for record in caplog.records if "as commanded over MQTT" in record.message]
    assert told == ["siren on street: enabled is OFF as commanded over MQTT earlier (the configuration says ON)"]


async def test_flood_of_commands_is_bounded(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running_node(node_config(free_port(), mqtt={"enabled": False}), tmp_path / "state") as node:
        desk = node.publisher._desk
        for _ in range(1000):
            desk.take(Received(SENSITIVITY, b"10", retained=False))
        assert desk._waiting.qsize() == 100
    assert len([r for r in caplog.records if r.levelno == logging.WARNING]) == 1


def _answered_announce(subscriber: Subscriber) -> bool:
    """Say it until it is heard: a command before the node has subscribed is nobody's."""
    subscriber.say("earshot/back/command/announce", '{"id": "a1"}')
    return bool(subscriber.on("earshot/back/reply"))


@pytest.mark.mosquitto
async def test_announce_command_brings_back_what_was_deleted_in_home_assistant(
    own_broker: Mosquitto, tmp_path: Path
) -> None:
    topic = "homeassistant/device/back/source_street/config"
    config = node_config(own_broker.port, "back", sources=[{"id": "street", "type": "microphone"}])
    with Subscriber(own_broker.port, topic, "earshot/back/reply") as subscriber:
        async with running_node(config, tmp_path / "state") as node:
            await until(lambda: len(node.store.announcements()) == 2 and subscriber.on(topic))
            subscriber.say(topic, "", retain=True)
            await until(lambda: node.store.announcements()[topic].deleted)
        async with running_node(config, tmp_path / "state") as node:
            await until(lambda: node.publisher.connected)
            subscriber.messages.clear()
            await until(lambda: retained(own_broker.port).get("earshot/back/status") == b"online")
            await until(lambda: _answered_announce(subscriber))
            await until(lambda: subscriber.on(topic) and subscriber.on("earshot/back/reply"))
            assert subscriber.on("earshot/back/reply")[0].json["ok"]
            assert not node.store.announcements()[topic].deleted
