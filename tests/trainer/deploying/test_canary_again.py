"""A deployment that was interrupted while its canary was watched; nodes are pretended, broker and catalogue real."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.household import NAMES, Household
from support.mqtt_subscriber import retained
from support.pretended_node import PretendedNode
from support.waiting import wait_until

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.alarms import AlarmRate, Alarms
from earshot_trainer.catalogue.releases import Release
from earshot_trainer.deploying import canary
from earshot_trainer.deploying.deployment import Deployed

pytestmark = pytest.mark.mosquitto

WATCHES = "hall has it; watching it"
DID_WELL = "hall did well"


def interrupted(household: Household, release: Release, at: str = WATCHES, **options: Any) -> None:
    """Deploy with the hall as canary until the line that begins with `at` is said."""

    def cut(line: str) -> None:
        if line.startswith(at):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        household.deploy(release, say=cut, **{"canary": "hall", "watch_s": 60.0, **options})


def deployed_again(
    household: Household, release: Release, when_watched: Callable[[], None] = lambda: None, **options: Any
) -> Deployed:
    """Deploy with the same canary; do something as soon as it is watched."""

    def say(line: str) -> None:
        household.said.append(line)
        if line.startswith(WATCHES):
            when_watched()

    return household.deploy(release, say=say, **{"canary": "hall", "watch_s": 60.0, **options})


def watches(household: Household) -> int:
    """How often the second deployment began to watch."""
    return sum(line.startswith(WATCHES) for line in household.said)


def alarm_often(node: PretendedNode) -> None:
    for number in range(5):
        node.alarm(f"false-alarm-{number}")


def test_canary_whose_watch_was_interrupted_is_watched_again_before_the_others_get_it(household: Household) -> None:
    release = household.release()
    with ExitStack() as stack:
        nodes = {name: stack.enter_context(household.node(name)) for name in NAMES}
        interrupted(household, release)
        assert {name: one.version == "2099.1.0" for name, one in nodes.items()} == {
            "attic": False,
            "hall": True,
            "street": False,
        }
        others: list[int] = []
        deployed = deployed_again(
            household,
            release,
            lambda: others.append(len(nodes["attic"].offers) + len(nodes["street"].offers)),
            watch_s=1,
        )
        assert (deployed.exit_code, watches(household), others) == (0, 1, [0])
        assert {one.version for one in nodes.values()} == {"2099.1.0"}


def test_canary_that_alarms_in_its_second_watch_goes_back_and_nobody_else_hears_of_it(household: Household) -> None:
    release = household.release()
    with household.node("hall") as hall, household.node("attic") as attic:
        interrupted(household, release)
        deployed = deployed_again(household, release, lambda: alarm_often(hall))
        assert (deployed.exit_code, hall.version, attic.offers) == (1, "2026.11.0", [])
        wait_until(lambda: hall.offers[-1] is None, 20, "the offer taken back")
    assert {one.node: one.state for one in deployed.nodes} == {
        "attic": "stopped",
        "hall": "rolled_back",
        "street": "stopped",
    }
    (offer,) = household.releases.offers()
    assert (offer.outcome, offer.withdrawn_why) == ("rolled_back", deployed.stopped)
    assert "alarmed 5 times" in deployed.stopped


def test_what_only_the_release_hears_is_no_alarm_too_many_in_a_second_watch_either(household: Household) -> None:
    release = household.release()

    def ring(hall: PretendedNode) -> None:
        for number in range(9):
            hall.alarm(f"bell-{number}", "doorbell")

    with household.node("hall") as hall:
        interrupted(household, release)
        deployed = deployed_again(household, release, lambda: ring(hall), watch_s=1)
        assert (deployed.stopped, hall.version) == ("", "2099.1.0")
    assert any(line.startswith(f"{DID_WELL} (0 alarms)") for line in household.said)


def test_canary_that_leaves_in_its_second_watch_is_to_go_back(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "AWAY_FOR_S", 0.5)
    release = household.release()
    with ExitStack() as here:
        here.enter_context(household.node("hall"))
        interrupted(household, release)
        deployed = deployed_again(household, release, here.close)
    assert (deployed.exit_code, deployed.stopped.partition(" for")[0]) == (1, "hall is away")
    assert [one.state for one in household.releases.offers()] == ["is to go back"]
    with household.node("hall", version="2099.1.0", previous="2026.11.0") as hall:
        wait_until(lambda: hall.version == "2026.11.0", 20, "the way back")


def test_canary_that_is_deaf_with_the_release_is_stopped_in_its_second_watch(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "DEAF_FOR_S", 0.5)
    release = household.release()
    with household.node("hall") as hall:
        interrupted(household, release)
        hall.tell_health(state="deaf", problems=("street is silent",))
        deployed = deployed_again(household, release)
        assert hall.version == "2026.11.0"
    assert deployed.stopped.endswith("street is silent")


def test_alarms_since_the_canary_has_the_release_are_not_its_past(household: Household) -> None:
    release = household.release()
    with household.node("hall") as hall:
        Alarms(household.engine).add("hall", datetime.now(UTC) - timedelta(hours=30), AlarmRate(0, 7200.0))
        interrupted(household, release)
        now = datetime.now(UTC)
        for hours in (0, 1):
            Alarms(household.engine).add("hall", now + timedelta(hours=hours), AlarmRate(100_000, 3600.0))
        deployed = deployed_again(household, release, lambda: alarm_often(hall))
    assert deployed.stopped.endswith("before, 0.0 times a day")


def test_watch_that_ended_well_is_not_repeated(household: Household) -> None:
    release = household.release()
    with household.node("hall"), household.node("attic") as attic:
        interrupted(household, release, DID_WELL, watch_s=1.0)
        assert attic.offers == []
        deployed = deployed_again(household, release, watch_s=1.0)
        assert (deployed.exit_code, watches(household), attic.version) == (3, 0, "2099.1.0")
    assert "hall has it, and a watch of it ended well; it is not watched again" in household.said


def test_watch_that_ended_well_stands_for_no_longer_one(household: Household) -> None:
    release = household.release()
    with household.node("hall"):
        interrupted(household, release, DID_WELL, watch_s=1.0)
        deployed_again(household, release, watch_s=1.5)
        deployed_again(household, release, watch_s=1.5)
    assert watches(household) == 1


def test_node_that_got_the_release_unwatched_is_watched_when_it_is_the_canary(household: Household) -> None:
    release = household.release()
    with household.node("hall"), household.node("attic") as attic:
        household.deploy(release, nodes=("hall",))
        deployed_again(household, release, watch_s=1.0, nodes=("hall", "attic"))
        assert (watches(household), attic.version) == (1, "2099.1.0")


def test_canary_that_was_to_go_back_and_is_away_is_not_let_off(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "AWAY_FOR_S", 0.5)
    release = household.release()
    with ExitStack() as here:
        here.enter_context(household.node("hall"))
        deployed_again(household, release, here.close)
    with pytest.raises(OperatorError, match="the canary hall is away"):
        deployed_again(household, release)
    assert [one.state for one in household.releases.offers()] == ["is to go back"]
    assert len(retained(household.port, f"{household.prefix}/+/model/offer")) == 1
