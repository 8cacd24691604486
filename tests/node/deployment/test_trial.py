"""A model on trial fails when it is slow or alarms far more often than its predecessor on the same audio."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from support.mqtt_node import event

from earshot_node.companion_listener import CompanionEvent, CompanionStep
from earshot_node.deployment.slots import Watch
from earshot_node.deployment.trial import Trial
from earshot_node.inference_thread import Step
from earshot_node.listener import Heard

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def trial(span_s: float = 1800.0) -> Trial:
    return Trial(Watch(begun=NOW, span_s=span_s), "2099.1.1", "2099.1.0")


def step(
    *, audio_s: float = 1.0, work_s: float = 0.1, alarms: int = 0, former: int | None = 0, beside_work_s: float = 0.05
) -> Step:
    events = tuple(event(number) for number in range(alarms))
    told = CompanionEvent("x", "street", "siren", NOW, None, 0.9)
    companion = None
    if former is not None:
        companion = CompanionStep("2099.1.0", (told,) * former, 99.0, beside_work_s, None)
    heard = Heard("street", events, levels_dbfs=((-40.0, 25),))
    return Step((heard,), audio_s, work_s, 25, companion)


def test_quiet_model_that_keeps_up_passes_after_its_time() -> None:
    watched = trial(60)
    for _ in range(59):
        watched.hear(step())
    assert not watched.passed
    watched.hear(step())
    assert watched.passed
    assert watched.failure == ""


def test_model_that_is_slower_than_real_time_for_a_minute_fails() -> None:
    watched = trial()
    for _ in range(45):
        watched.hear(step(work_s=1.3))
    assert watched.failure == ""
    for _ in range(5):
        watched.hear(step(work_s=1.3))
    assert "slower than real time" in watched.failure
    assert not watched.passed


def test_slow_moments_are_forgiven() -> None:
    watched = trial()
    for _ in range(20):
        for _ in range(20):
            watched.hear(step(work_s=1.3))
        for _ in range(60):
            watched.hear(step(work_s=0.2))
    assert watched.failure == ""


def test_former_model_that_slows_both_down_is_let_go_and_not_held_against_the_new_one() -> None:
    watched = trial()
    for _ in range(120):
        watched.hear(step(work_s=1.3, beside_work_s=0.65))
    assert watched.is_too_much
    assert watched.failure == ""


@pytest.mark.parametrize(
    ("alarms", "former", "fails"),
    [(5, 0, True), (4, 0, False), (5, 1, True), (6, 2, False), (7, 2, True), (30, 10, False)],
)
def test_over_three_times_the_alarms_and_at_least_five_fail(alarms: int, former: int, *, fails: bool) -> None:
    watched = trial()
    watched.hear(step(former=former))
    for _ in range(alarms):
        watched.hear(step(alarms=1))
    assert bool(watched.failure) is fails


def test_sirens_that_both_hear_are_no_fault() -> None:
    watched = trial()
    for _ in range(50):
        watched.hear(step(alarms=1, former=1))
    assert watched.failure == ""


def test_what_only_the_new_model_hears_is_no_alarm_too_many() -> None:
    bells = tuple(event(number).model_copy(update={"event_type": "doorbell"}) for number in range(9))
    watched = Trial(Watch(begun=NOW, span_s=1800.0, labels=("siren",)), "2099.1.1", "2099.1.0")
    watched.hear(replace(step(), heard=(Heard("street", bells, levels_dbfs=((-40.0, 25),)),)))
    assert (watched.watch.alarms, watched.failure) == (0, "")
    for _ in range(5):
        watched.hear(step(alarms=1))
    assert watched.failure


def test_former_model_that_had_to_go_counts_with_what_it_told_so_far() -> None:
    watched = trial()
    for _ in range(100):
        watched.hear(step())
    watched.hear(step(alarms=2, former=2))
    for _ in range(100):
        watched.hear(step(former=None))
    watched.hear(step(alarms=9, former=None))
    assert watched.failure == ""  # 11 against 4 in the same time
    watched.hear(step(alarms=3, former=None))
    assert "has alarmed 14 times" in watched.failure


def test_without_any_comparison_alarms_alone_do_not_fail() -> None:
    watched = trial()
    for _ in range(20):
        watched.hear(step(alarms=1, former=None))
    assert watched.failure == ""


def test_trial_goes_on_after_a_restart_where_it_was() -> None:
    first = trial(100)
    for _ in range(60):
        first.hear(step())
    again = Trial(first.watch, "2099.1.1", "2099.1.0")
    for _ in range(40):
        again.hear(step())
    assert again.passed
