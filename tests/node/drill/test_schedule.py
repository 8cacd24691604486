"""The weekly drill is due on its day at its time."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from support.mqtt_node import LONG_AGO, node_config

from earshot_node.contract.drill import DrillResult
from earshot_node.drill.results import DrillResults
from earshot_node.drill.schedule import next_due


@pytest.fixture(autouse=True)
def _utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_zone("UTC", monkeypatch)


def in_zone(name: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's clock is that of another place."""
    monkeypatch.setenv("TZ", name)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def _berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from in_zone("CET-1CEST,M3.5.0,M10.5.0/3", monkeypatch)


@pytest.mark.usefixtures("_berlin")
@pytest.mark.parametrize(("month", "day"), [(3, 25), (10, 21)])
def test_drill_is_at_the_time_of_the_clock_on_the_wall_when_clocks_have_changed(month: int, day: int) -> None:
    wednesday = datetime(2026, month, day, 11, 0, 30).astimezone()
    due = next_due("wed 11:00", wednesday)
    assert (due.date() - wednesday.date(), due.hour) == (timedelta(days=7), 11)
    assert due.utcoffset() != wednesday.utcoffset()
    assert next_due("wed 11:00", due) - due == timedelta(days=7)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def test_due_is_the_next_such_day() -> None:
    sunday = at(22, 12)
    assert next_due("sun 12:01", sunday) == at(22, 12, 1)
    assert next_due("sun 12:00", sunday) == at(29, 12)
    assert next_due("sat 03:30", sunday) == at(28, 3, 30)


@given(st.integers(0, 500_000), st.sampled_from(["mon 00:00", "wed 11:00"]))
def test_due_is_always_ahead_by_a_week_at_most(minutes: int, weekly: str) -> None:
    now = at(22, 12) + timedelta(minutes=minutes)
    due = next_due(weekly, now)
    assert timedelta() < due - now <= timedelta(days=7)
    assert f"{due:%a %H:%M}".lower() == weekly


@pytest.mark.parametrize("weekly", ["wednesday 11:00", "wed 25:00", "wed 9:00", "11:00", "Wed 11:00"])
def test_other_ways_to_write_it_are_refused(weekly: str) -> None:
    with pytest.raises(ValidationError, match="weekly"):
        node_config(1883, drill={"weekly": weekly})


def result(source: str, outcome: str) -> DrillResult:
    values = {"id": "1", "source": source, "outcome": outcome, "level_dbfs": -30, "time": LONG_AGO}
    return DrillResult.model_validate(values | dict.fromkeys(("heard", "detected", "published"), outcome == "passed"))


def test_results_are_kept_over_restarts(tmp_path: Path) -> None:
    results = DrillResults(tmp_path / "drills.json")
    for one in (result("street", "passed"), result("yard", "failed"), result("street", "failed")):
        results.put(one)
    again = DrillResults(tmp_path / "drills.json").by_source
    assert {name: one.outcome for name, one in again.items()} == {"street": "failed", "yard": "failed"}


@pytest.mark.parametrize("damage", [b"", b"[1]", b"{}", b'[{"schema": 1}]', b"\xff"])
def test_damaged_results_are_forgotten(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "drills.json").write_bytes(damage)
    assert DrillResults(tmp_path / "drills.json").by_source == {}
