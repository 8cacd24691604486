"""A recording's JSON, the report and the label file are what their golden files say."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.golden import GOLDEN, assert_golden
from support.mqtt_node import LONG_AGO, event

from earshot_node.contract.labels import LabelEntry, LabelSet
from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo, RecordingsReport
from earshot_node.errors import MessageError

TAKE = RecordingInfo(
    id="20261122T181500250-1f0c9a3e",
    origin="take",
    node="hall",
    source="street",
    source_type="microphone",
    begin=LONG_AGO,
    duration_s=3.0,
    rate_hz=16000,
    level_dbfs=-27.4,
    peak_dbfs=-9.1,
    clipped_share=0.0,
    gain_db=6.0,
    sha256="ab" * 32,
    size_bytes=61234,
    labelling=Labelling(labels=("siren",), by="command_line", user="ada", time=LONG_AGO),
)
REJECTED = TAKE.model_copy(
    update={
        "origin": "event",
        "revision": 2,
        "labelling": Labelling(absent=("siren",), by="home_assistant", time=LONG_AGO),
        "event": event(1, "offset"),
        "onset_s": 3.0,
        "offset_s": 7.2,
    }
)
CANDIDATE = TAKE.model_copy(
    update={
        "origin": "candidate",
        "labelling": None,
        "candidate": Candidate(reason="uncertain", label="siren", posterior=0.41, model="2026.11.0"),
    }
)
RECORDINGS = {"recording": TAKE, "recording_rejected": REJECTED, "recording_candidate": CANDIDATE}
REPORT = RecordingsReport(
    waiting=12,
    candidates=3,
    collected=5,
    size_bytes=1_234_567,
    labels={"background": 7, "siren": 10},
    problem="",
    time=LONG_AGO,
)


@pytest.mark.parametrize("name", RECORDINGS)
def test_recording_matches_its_golden_file_both_ways(name: str) -> None:
    assert_golden(name, json.loads(RECORDINGS[name].encode()))
    assert RecordingInfo.decode((GOLDEN / f"{name}.json").read_bytes()) == RECORDINGS[name]


def test_report_matches_its_golden_file_both_ways() -> None:
    assert_golden("recordings", json.loads(REPORT.encode()))
    assert RecordingsReport.decode((GOLDEN / "recordings.json").read_bytes()) == REPORT


def test_unknown_field_of_a_recording_is_ignored_and_a_newer_schema_is_not() -> None:
    value = json.loads(TAKE.encode())
    assert RecordingInfo.decode(json.dumps({**value, "from_the_future": 1}).encode()) == TAKE
    with pytest.raises(MessageError, match=r"^schema: "):
        RecordingInfo.decode(json.dumps({**value, "schema": 2}).encode())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("id", "../../etc/passwd"),
        ("id", "20261122T181500250-1F0C9A3E"),
        ("sha256", "ab"),
        ("duration_s", 0),
        ("clipped_share", 2),
        ("level_dbfs", None),
        ("source", "../up"),
    ],
)
def test_wrong_field_is_rejected_by_name(field: str, value: object) -> None:
    wrong = json.loads(TAKE.encode()) | {field: value}
    with pytest.raises(MessageError, match=f"^{field}: "):
        RecordingInfo.decode(json.dumps(wrong).encode())


@given(st.binary(max_size=200))
def test_any_bytes_are_a_recording_or_a_message_error(data: bytes) -> None:
    with pytest.raises(MessageError):
        RecordingInfo.decode(data)


@pytest.mark.parametrize(
    "wrong",
    [
        {"labels": ["siren", "siren"]},
        {"labels": ["siren"], "absent": ["siren"]},
        {"labels": ["background"]},
        {"labels": ["Siren!"]},
        {"labels": [f"label{number}" for number in range(9)]},
    ],
)
def test_labelling_that_contradicts_itself_is_rejected(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="label"):
        Labelling.model_validate({"by": "http", "time": LONG_AGO, **wrong})


@pytest.mark.parametrize(
    ("labels", "absent", "title"),
    [
        (("siren",), (), "siren"),
        (("siren", "dog"), (), "siren + dog"),
        ((), (), "background"),
        ((), ("siren",), "not siren"),
    ],
)
def test_title_of_a_labelling(labels: tuple[str, ...], absent: tuple[str, ...], title: str) -> None:
    assert Labelling(labels=labels, absent=absent, by="http", time=LONG_AGO).title == title


@pytest.mark.parametrize(
    "build",
    [
        lambda: LabelSet(labels=()),
        lambda: LabelSet(labels=(LabelEntry(name="siren"), LabelEntry(name="siren"))),
        lambda: LabelSet(labels=(LabelEntry(name="background"),)),
    ],
)
def test_label_set_names_each_label_once_and_never_background(build: Callable[[], LabelSet]) -> None:
    with pytest.raises(ValueError, match="label"):
        build()
