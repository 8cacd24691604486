"""What stops a canary, and what does not; facts and times are given."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.mqtt_node import event

from earshot_node.contract.deployment import InstallResult
from earshot_node.contract.messages import NodeHealth
from earshot_trainer.catalogue.alarms import AlarmRate
from earshot_trainer.deploying.canary import AWAY_FOR_S, DEAF_FOR_S, MANY_ALARMS, SLOW_FOR_S, CanaryWatch
from earshot_trainer.fleet.board import NodeView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
QUIET_WEEKS = AlarmRate(alarms=14, listened_s=14 * 86_400)  # once a day
LOUD_WEEKS = AlarmRate(alarms=3360, listened_s=14 * 86_400)  # ten an hour
SHA256 = "ab" * 32


def view(status: str = "online", result: InstallResult | None = None, **health: Any) -> NodeView:
    values: dict[str, Any] = {
        "state": "healthy",
        "problems": (),
        "real_time_factor": 0.1,
        "hours_listened": 1,
        "dropped_s": 0,
        "queued_events": 0,
        "model_version": "2099.1.0",
        "time": NOW,
    }
    told = NodeHealth.model_validate(values | health)
    return NodeView("hall", is_member=True, status=status, health=told, result=result)


def watch(past: AlarmRate = QUIET_WEEKS, *, was_deaf: bool = False) -> CanaryWatch:
    return CanaryWatch(SHA256, past, was_deaf, begun_s=0.0)


def alarmed(times: int, past: AlarmRate) -> CanaryWatch:
    watched = watch(past)
    for number in range(times):
        watched.heard(event(number))
        watched.heard(event(number))  # QoS 1: it may come twice
    return watched


def result(outcome: str, sha256: str = SHA256) -> InstallResult:
    values = {"version": "2099.1.0", "sha256": sha256, "outcome": outcome, "reason": "slower than real time"}
    return InstallResult.model_validate({**values, "active": "2026.11.0", "time": NOW})


def test_what_only_the_new_model_hears_is_no_alarm_too_many() -> None:
    watched = CanaryWatch(SHA256, QUIET_WEEKS, was_deaf=False, begun_s=0.0, labels=frozenset({"siren"}))
    for number in range(20):
        watched.heard(event(number).model_copy(update={"event_type": "doorbell"}))
    assert (watched.alarms, watched.judge(view(), 600.0)) == (0, "")


def test_healthy_canary_is_left_alone() -> None:
    watched = watch()
    assert [watched.judge(view(), now_s) for now_s in (0.0, 600.0, 1800.0)] == ["", "", ""]


def test_node_that_went_back_by_itself_stops_it_with_its_reason() -> None:
    assert watch().judge(view(result=result("rolled_back")), 60.0) == "hall went back: slower than real time"


def test_rollback_of_another_bundle_is_not_this_ones() -> None:
    assert watch().judge(view(result=result("rolled_back", "cd" * 32)), 60.0) == ""


def test_short_absence_is_forgiven_and_a_long_one_is_not() -> None:
    watched = watch()
    assert watched.judge(view("offline"), 10.0) == ""
    assert watched.judge(view(), 10.0 + AWAY_FOR_S - 1) == ""
    assert watched.judge(view("offline"), 200.0) == ""
    assert "is away" in watched.judge(view("offline"), 200.0 + AWAY_FOR_S)


@pytest.mark.parametrize("was_deaf", [False, True])
def test_deafness_counts_only_if_it_is_new(was_deaf: bool) -> None:
    watched = watch(was_deaf=was_deaf)
    deaf = view(state="deaf", problems=("street: silent",))
    assert watched.judge(deaf, 0.0) == ""
    assert bool(watched.judge(deaf, DEAF_FOR_S)) is not was_deaf


def test_slower_than_real_time_for_two_minutes_stops_it_and_a_moment_does_not() -> None:
    slow = view(real_time_factor=1.2)
    watched = watch()
    assert [watched.judge(slow, now_s) for now_s in (5.0, 5.0 + SLOW_FOR_S - 1)] == ["", ""]
    assert "slower than real time for 120 s (1.2 times)" in watched.judge(slow, 5.0 + SLOW_FOR_S)
    recovered = watch()
    said = [recovered.judge(one, now_s) for one, now_s in ((slow, 0.0), (view(), 100.0), (slow, 150.0), (slow, 260.0))]
    assert said == ["", "", "", ""]


@pytest.mark.parametrize(
    ("alarms", "past", "minutes", "stops"),
    [
        (MANY_ALARMS - 1, QUIET_WEEKS, 30, False),
        (MANY_ALARMS, QUIET_WEEKS, 30, True),
        (MANY_ALARMS, LOUD_WEEKS, 30, False),
        (16, LOUD_WEEKS, 30, True),  # over three times the five that were to be expected
        (15, LOUD_WEEKS, 30, False),
        (MANY_ALARMS, AlarmRate(0, 60.0), 30, True),  # its past is not known
    ],
)
def test_alarms_are_measured_by_the_nodes_own_past(alarms: int, past: AlarmRate, minutes: int, stops: bool) -> None:
    watched = alarmed(alarms, past)
    assert watched.alarms == alarms
    assert bool(watched.judge(view(), minutes * 60.0)) is stops
