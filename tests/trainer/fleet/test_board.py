"""The fleet as it is told: latest of each, members that never spoke, and nothing that a hostile node can do to it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from earshot_node.contract.messages import EventMessage, ModelInfo, NodeHealth, NodeInfo, SourceInfo
from earshot_node.contract.topics import NodeTopics, Topic
from earshot_node.mqtt.connection import Received
from earshot_trainer.fleet.board import FleetBoard
from earshot_trainer.fleet.table import plain_lines

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HALL = NodeTopics("home/earshot", "hall")


def board() -> FleetBoard:
    return FleetBoard("home/earshot", ("attic", "hall"))


def push(where: FleetBoard, topic: Topic, payload: bytes) -> None:
    where.push(Received(topic.name, payload, retained=True))


def health(**fields: Any) -> bytes:
    values: dict[str, Any] = {
        "state": "healthy",
        "problems": (),
        "real_time_factor": 0.1,
        "hours_listened": 12.34,
        "dropped_s": 0,
        "queued_events": 0,
        "model_version": "2026.11.0",
        "time": NOW,
    }
    return NodeHealth(**{**values, **fields}).encode()


def event(node: str, onset: datetime) -> bytes:
    return EventMessage(
        id="event-of-a-test",
        phase="onset",
        event_type="siren",
        node=node,
        source="mic",
        source_name="Mic",
        onset=onset,
        peak=1,
        confidence=100,
        level_dbfs=-20,
        model="1",
    ).encode()


def test_online_node_is_told_with_all_that_it_says() -> None:
    seen = board()
    info = NodeInfo(
        node="hall",
        name="Hall",
        version="1",
        model=ModelInfo(name="siren", version="2026.11.0", labels=("siren",)),
        labels=("siren",),
        sources=(SourceInfo(id="mic", name="Mic", type="microphone"), SourceInfo(id="cam", name="Cam", type="url")),
        started=NOW,
    )
    push(seen, HALL.status(), b"online")
    push(seen, HALL.info(), info.encode())
    push(seen, HALL.health(), health())
    push(seen, HALL.last_event("mic", "siren"), event("hall", NOW - timedelta(minutes=5)))
    push(seen, HALL.last_event("cam", "siren"), event("hall", NOW - timedelta(days=5)))
    header, attic, hall = plain_lines(seen.views, NOW)
    assert header.split() == ["node", "state", "model", "sources", "hours", "waiting", "last", "event"]
    assert attic.split() == ["attic", "never", "seen", "-", "-", "-", "-", "none"]
    cells = [cell.strip() for cell in hall.split("  ") if cell.strip()]
    assert cells == ["hall", "healthy", "siren 2026.11.0", "mic, cam", "12.3", "-", "siren at mic, 5 min ago"]


def test_offline_node_is_not_healthy_whatever_it_said_before() -> None:
    seen = board()
    push(seen, HALL.health(), health(problems=("no broker",)))
    push(seen, HALL.status(), b"offline")
    assert {view.id: view.state for view in seen.views} == {"attic": "never seen", "hall": "offline"}
    assert not [line for line in plain_lines(seen.views, NOW) if "no broker" in line]


def test_node_that_has_not_joined_is_shown_as_such() -> None:
    seen = board()
    push(seen, NodeTopics("home/earshot", "zoo").status(), b"online")
    assert plain_lines(seen.views, NOW)[-1].startswith("zoo (not joined)  starting")


@pytest.mark.parametrize("payload", [b"\xff\x00", b"{}", b"[" * 60_000, b'{"schema": 2}', health()[:-5]])
def test_payload_that_makes_no_sense_changes_nothing(payload: bytes) -> None:
    seen = board()
    push(seen, HALL.status(), b"online")
    push(seen, HALL.health(), health())
    before = plain_lines(seen.views, NOW)
    for topic in (HALL.info(), HALL.health(), HALL.recordings(), HALL.model_result(), HALL.last_event("a", "siren")):
        push(seen, topic, payload)
    push(seen, Topic("home/earshot/../status", 1, retain=True), payload)
    assert plain_lines(seen.views, NOW) == before


def test_terminal_codes_of_a_node_do_not_reach_the_terminal() -> None:
    seen = board()
    push(seen, HALL.status(), b"online")
    push(seen, HALL.health(), health(state="deaf", problems=("\x1b[2Jgone\nattic: fine",)))
    lines = plain_lines(seen.views, NOW)
    assert all(line.isprintable() for line in lines)
    assert lines[-1] == "hall:  [2Jgone attic: fine"


def test_event_of_another_node_does_not_count() -> None:
    seen = board()
    push(seen, HALL.last_event("mic", "siren"), event("attic", NOW))
    assert [view.last_event for view in seen.views] == [None, None]
