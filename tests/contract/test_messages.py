"""Payloads are what their golden files say; unknown fields are ignored, wrong ones rejected with a reason."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import GOLDEN, assert_golden
from support.mqtt_node import LONG_AGO, event, node_config, node_info

from earshot_node.contract.messages import (
    MAX_PAYLOAD_BYTES,
    Command,
    DrillCommand,
    EventMessage,
    FeedbackMessage,
    Message,
    NodeHealth,
    RecordCommand,
    Reply,
    SourceHealth,
)
from earshot_node.errors import MessageError

MESSAGES: dict[str, Message] = {
    "event_onset": event(1),
    "event_offset": event(1, "offset").model_copy(update={"kind": "wail"}),
    "event_late": event(1).model_copy(update={"late": True}),
    "info": node_info(node_config(1883)),
    "health": NodeHealth(
        state="deaf",
        problems=("Street: no sound for 5 s; check the cable",),
        real_time_factor=0.012,
        hours_listened=12.25,
        dropped_s=0.5,
        queued_events=3,
        model_version="2026.11.0",
        time=LONG_AGO,
    ),
    "source_health": SourceHealth(
        source="street",
        state="absent",
        problem="no microphone with this id; node-cli devices lists them",
        dropped_s=0.5,
        hours_listened=12.25,
        reopened=2,
        time=LONG_AGO,
    ),
    "reply": Reply(
        id="a1", command="source/street/siren/sensitivity", ok=False, reason="expected a number from 0 to 100"
    ),
    "command": Command(id="a1"),
    "command_record": RecordCommand(id="a1", label="siren", source="street", seconds=3),
    "command_drill": DrillCommand(id="a1", source="street", level_dbfs=-30),
    "feedback": FeedbackMessage(id="a1", event="0123456789abcdef0123456789abcdef"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_payload_matches_its_golden_file(name: str) -> None:
    assert_golden(name, json.loads(MESSAGES[name].encode()))


@pytest.mark.parametrize("name", MESSAGES)
def test_golden_payload_decodes_to_the_same_message(name: str) -> None:
    payload = (GOLDEN / f"{name}.json").read_bytes()
    assert type(MESSAGES[name]).decode(payload) == MESSAGES[name]


def test_every_message_type_has_a_golden_file() -> None:
    covered = {type(message) for message in MESSAGES.values()}
    direct = Message.__subclasses__()
    kinds = {one for kind in direct for one in (kind, *kind.__subclasses__()) if one.__module__ == Message.__module__}
    assert kinds == covered


@pytest.mark.parametrize("name", MESSAGES)
def test_unknown_field_is_ignored(name: str) -> None:
    value = json.loads(MESSAGES[name].encode()) | {"from_the_future": {"a": 1}}
    assert type(MESSAGES[name]).decode(json.dumps(value).encode()) == MESSAGES[name]


def test_newer_schema_is_rejected_with_its_field() -> None:
    value = json.loads(event(1).encode()) | {"schema": 2}
    with pytest.raises(MessageError, match="schema"):
        EventMessage.decode(json.dumps(value).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "short"),
        ("phase", "middle"),
        ("event_type", "Siren!"),
        ("peak", 1.5),
        ("peak", "NaN"),
        ("confidence", 101),
        ("onset", "2026-11-20T18:30:05"),
        ("level_dbfs", None),
    ],
)
def test_wrong_field_is_rejected_by_name(field: str, value: object) -> None:
    wrong = json.loads(event(1).encode()) | {field: value}
    with pytest.raises(MessageError, match=f"^{field}: "):
        EventMessage.decode(json.dumps(wrong).encode())


def test_missing_field_is_rejected_by_name() -> None:
    wrong = {key: value for key, value in json.loads(event(1).encode()).items() if key != "source"}
    with pytest.raises(MessageError, match=r"^source: "):
        EventMessage.decode(json.dumps(wrong).encode())


def test_oversized_payload_is_rejected_unread() -> None:
    with pytest.raises(MessageError, match="too large"):
        EventMessage.decode(b" " * (MAX_PAYLOAD_BYTES + 1))


def test_times_travel_in_utc_with_milliseconds() -> None:
    assert json.loads(event(1).encode())["onset"] == "2026-11-20T18:30:05.250Z"
    decoded = EventMessage.decode(event(1).encode())
    assert decoded.onset - LONG_AGO == timedelta(0)


@given(st.binary(max_size=300))
def test_any_bytes_decode_or_raise_message_error(payload: bytes) -> None:
    for kind in {type(message) for message in MESSAGES.values()}:
        try:
            kind.decode(payload)
        except MessageError as error:
            assert str(error)  # noqa: PT017


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_decodes_or_raises_message_error(value: object) -> None:
    payload = json.dumps(value).encode()
    try:
        EventMessage.decode(payload)
    except MessageError as error:
        assert str(error)  # noqa: PT017
