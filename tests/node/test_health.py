"""What makes a node deaf, and what is only a problem."""

from dataclasses import dataclass

import pytest

from earshot_node.contract.messages import SourceState
from earshot_node.health import RealTimeFactor, RecentLoss, judge


@dataclass(frozen=True)
class Condition:
    state: SourceState
    problem: str = ""


HEALTHY = Condition("healthy")


def test_node_is_healthy_when_all_sources_are() -> None:
    assert judge({"a": HEALTHY, "b": HEALTHY}, inference_age_s=0.1, factor=0.01).state == "healthy"


@pytest.mark.parametrize("state", ["absent", "silent", "frozen", "stalled"])
def test_one_source_that_cannot_hear_makes_the_node_deaf_and_is_named(state: SourceState) -> None:
    verdict = judge({"a": HEALTHY, "hall": Condition(state, "unplugged")}, inference_age_s=0.1, factor=0.01)
    assert verdict.state == "deaf"
    assert verdict.problems == ("hall: unplugged",)


def test_stalled_inference_makes_the_node_deaf() -> None:
    verdict = judge({"a": HEALTHY}, inference_age_s=12.0, factor=0.01)
    assert verdict.state == "deaf"
    assert "inference stands still" in verdict.problems[0]


def test_machine_that_is_too_slow_loses_audio_and_is_deaf() -> None:
    assert judge({"a": HEALTHY}, inference_age_s=0.1, factor=1.5).state == "deaf"


def test_source_that_loses_audio_makes_the_node_deaf_and_is_named() -> None:
    verdict = judge({"a": HEALTHY, "b": HEALTHY}, inference_age_s=0.1, factor=0.9, losing=["b"])
    assert verdict.state == "deaf"
    assert "loses audio of b" in verdict.problems[0]


def test_loss_is_recent_for_half_a_minute_and_what_was_lost_before_is_forgiven() -> None:
    loss = RecentLoss()
    assert loss.push({"a": 50.0, "b": 3.0}) == []
    assert loss.push({"a": 50.9, "b": 3.0}) == []
    assert loss.push({"a": 51.0, "b": 3.0}) == ["a"]
    found = [loss.push({"a": 51.0, "b": 3.0}) for _ in range(40)]
    assert (found[:28], found[29:]) == ([["a"]] * 28, [[]] * 11)


def test_clipping_and_absent_broker_are_problems_of_a_node_that_hears() -> None:
    verdict = judge({"a": Condition("clipped", "too loud")}, inference_age_s=0.1, factor=0.1, extra=("no broker",))
    assert verdict.state == "healthy"
    assert verdict.problems == ("a: too loud", "no broker")


def test_verdict_does_not_change_while_its_cause_stays() -> None:
    first = judge({"a": HEALTHY}, inference_age_s=12.0, factor=1.5)
    assert judge({"a": HEALTHY}, inference_age_s=13.0, factor=1.6) == first


def test_source_that_ended_with_a_problem_makes_the_node_deaf() -> None:
    assert judge({"a": Condition("ended", "its writer is gone")}, inference_age_s=0.1, factor=0.0).state == "deaf"


def test_node_is_starting_until_every_source_has_begun() -> None:
    assert judge({"a": HEALTHY, "b": Condition("starting")}, inference_age_s=0.1, factor=0.0).state == "starting"


def test_file_that_has_ended_does_not_make_a_node_deaf() -> None:
    assert judge({"a": Condition("ended")}, inference_age_s=0.1, factor=0.0).state == "healthy"


def test_real_time_factor_is_work_over_audio_and_follows_a_change_within_a_minute() -> None:
    factor = RealTimeFactor()
    assert factor.value == 0.0
    for _ in range(100):
        factor.push(1.0, 0.1)
    assert factor.value == pytest.approx(0.1)
    for _ in range(60):
        factor.push(1.0, 2.0)
    assert factor.value == pytest.approx(2.0, rel=0.15)
