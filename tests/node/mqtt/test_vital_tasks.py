"""A node whose permanent tasks cannot go on says so; errors in answers to others do not end it."""

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto, free_port
from support.mqtt_node import event, node_config, running_node

from earshot_node.contract.topics import NodeTopics
from earshot_node.mqtt.disk_thread import DiskThread
from earshot_node.mqtt.outbox import Outbox
from earshot_node.mqtt.publisher import Publisher
from earshot_node.mqtt.store import StateStore


class UnexpectedError(Exception):
    """What nobody expected."""


def break_down(*_: Any) -> Any:
    """Fail as nobody expected."""
    raise UnexpectedError


async def test_outbox_tells_that_it_ended(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    failures: list[Exception] = []
    with closing(StateStore(tmp_path / "state")) as store:
        disk = DiskThread()
        outbox = Outbox(store, disk, NodeTopics("earshot", "hall"), limit=10, on_failure=failures.append)
        outbox.connected(break_down)
        await outbox.add(event(1))
        await until(lambda: failures)
        await outbox.close()
        disk.close()
        assert store.waiting == 1
    assert isinstance(failures[0], UnexpectedError)
    assert [record.message for record in caplog.records] == ["MQTT: task mqtt-outbox failed"]


async def test_outbox_that_is_closed_is_no_failure(tmp_path: Path) -> None:
    failures: list[Exception] = []
    async with running_node(node_config(free_port()), tmp_path / "state", on_failure=failures.append) as node:
        await node.publisher.publish_event(event(1))
    assert failures == []


def break_states(publisher: Publisher) -> None:
    """The next repetition of states fails."""
    publisher._board.lasting = break_down  # type: ignore[method-assign]


def break_commands(publisher: Publisher) -> None:
    """The next command is none."""
    publisher._desk._do = break_down  # type: ignore[method-assign]
    publisher._desk.take(None)  # type: ignore[arg-type]


def break_link(publisher: Publisher) -> None:
    """The next attempt to connect ends in something else than a refusal."""
    publisher._client._failed = break_down  # type: ignore[method-assign]


@pytest.mark.parametrize("break_task", [break_states, break_commands, break_link])
async def test_publisher_tells_that_a_permanent_task_ended_and_can_be_stopped(
    tmp_path: Path, break_task: Callable[[Publisher], None]
) -> None:
    failures: list[Exception] = []
    config = node_config(free_port())
    async with running_node(config, tmp_path / "state", on_failure=failures.append, repeat_s=0.02) as node:
        break_task(node.publisher)
        await until(lambda: failures)
    assert isinstance(failures[0], UnexpectedError)


@pytest.mark.mosquitto
async def test_session_that_cannot_begin_is_told(broker: Mosquitto, tmp_path: Path) -> None:
    failures: list[Exception] = []
    config = node_config(broker.port, "begin")
    async with running_node(config, tmp_path / "state", on_failure=failures.append) as node:
        node.publisher._board.everything = break_down  # type: ignore[method-assign]
        await until(lambda: failures)


@pytest.mark.mosquitto
async def test_error_in_an_answer_to_others_does_not_end_the_node(
    broker: Mosquitto, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    failures: list[Exception] = []
    config = node_config(broker.port, "answer")
    async with running_node(config, tmp_path / "state", on_failure=failures.append) as node:
        node.publisher._announcer.announce = break_down  # type: ignore[method-assign]
        await until(lambda: "task mqtt-announce failed" in caplog.text)
        await node.publisher.publish_event(event(1, node="answer"))
        await until(lambda: node.publisher.queued == 0)
    assert failures == []
