"""Who gets a model, in which order, and how it is told; nodes are pretended, broker and catalogue are real."""

import asyncio
from contextlib import ExitStack
from typing import Any

import pytest
from support.household import NAMES, Household
from support.mqtt_subscriber import retained
from support.waiting import wait_until

from earshot_node.contract.deployment import ModelOffer
from earshot_node.errors import BundleError, OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.catalogue.releases import Release
from earshot_trainer.deploying import canary
from earshot_trainer.deploying.active_model import model_here
from earshot_trainer.deploying.deployment import Deployed
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.deploying.registering import GateVerdict, bundle_path
from earshot_trainer.deploying.rollback import end_shadow, roll_back
from earshot_trainer.deploying.watched_fleet import WatchedFleet

pytestmark = pytest.mark.mosquitto


def states(deployed: Deployed) -> dict[str, str]:
    return {one.node: one.state for one in deployed.nodes}


def told_of(household: Household, node: str) -> str:
    """What the node told last about its models; the catalogue knows it from then on."""

    async def look() -> str:
        fleet = WatchedFleet(household.home, household.engine, (node,))
        async with fleet.connected():
            result = fleet.view(node).result
            return result.outcome if result is not None else ""

    return asyncio.run(look())


def rolled_back(household: Household, *nodes: str, by: Any = roll_back) -> list[NodeProgress]:
    async def work() -> list[NodeProgress]:
        fleet = WatchedFleet(household.home, household.engine, nodes)
        async with fleet.connected():
            done: list[NodeProgress] = await by(fleet, household.engine, nodes)
            return done

    return asyncio.run(work())


def test_every_node_gets_it_and_the_catalogue_knows(household: Household) -> None:
    release = household.release()
    with ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(household.node(name))
        deployed = household.deploy(release)
    assert (deployed.exit_code, states(deployed)) == (0, dict.fromkeys(NAMES, "installed"))
    kept = household.releases.offers(release.sha256)
    assert {(one.node, one.outcome, one.id) for one in kept} == {(name, "installed", deployed.id) for name in NAMES}


def test_refusal_and_absence_are_told_and_the_exit_code_is_3(household: Household) -> None:
    release = household.release()
    with household.node("attic"), household.node("hall", decide=lambda _: ("refused", "does not hear glass")):
        deployed = household.deploy(release)
    assert (deployed.exit_code, states(deployed)) == (
        3,
        {"attic": "installed", "hall": "refused", "street": "away"},
    )
    reasons = {one.node: one.reason for one in household.releases.offers()}
    assert reasons == {"attic": "", "hall": "does not hear glass", "street": ""}
    assert household.said[-1] == "no `trainer-cli serve` is on: nodes fetch the bundle once it is"


def test_node_that_was_away_finds_the_offer_when_it_is_back(household: Household) -> None:
    household.deploy(household.release(), nodes=("street",))
    with household.node("street") as street:
        wait_until(lambda: street.version == "2099.1.0", 20, "the offer")


def test_refusal_for_now_is_not_the_last_word(household: Household) -> None:
    release = household.release()

    def at_the_second_attempt(offer: ModelOffer) -> tuple[str, str]:
        hall.tell_result("refused", "the trainer is away", offer=offer, again=True)
        return "installed", ""

    seen: list[str] = []
    with household.node("hall", decide=at_the_second_attempt) as hall:
        deployed = household.deploy(release, lambda nodes: seen.extend(one.state for one in nodes), nodes=("hall",))
    assert (deployed.exit_code, states(deployed)) == (0, {"hall": "installed"})
    assert "refused" not in seen


def test_canary_that_does_well_lets_the_others_have_it(household: Household) -> None:
    order: list[str] = []

    def noted(name: str) -> tuple[str, str]:
        order.append(name)
        return "installed", ""

    with ExitStack() as stack:
        for name in NAMES:
            stack.enter_context(household.node(name, decide=lambda _, name=name: noted(name)))
        deployed = household.deploy(household.release(), canary="hall", watch_s=1.0)
    assert (deployed.exit_code, order[0], sorted(order)) == (0, "hall", sorted(NAMES))
    assert [one.node for one in household.releases.offers() if one.is_canary] == ["hall"]


def test_canary_that_alarms_stops_it_goes_back_and_nobody_else_hears_of_it(household: Household) -> None:
    def alarms(line: str) -> None:
        if line.startswith("hall has it; watching it for 1 min"):
            for number in range(5):
                hall.alarm(f"false-alarm-{number}")

    with household.node("hall") as hall, household.node("attic") as attic:
        deployed = household.deploy(household.release(), say=alarms, canary="hall", watch_s=60.0)
        assert deployed.exit_code == 1
        wait_until(lambda: hall.version == "2026.11.0", 20, "the rollback")
        wait_until(lambda: hall.offers[-1] is None, 20, "the offer taken back")
    assert attic.offers == []
    assert states(deployed) == {"attic": "stopped", "hall": "rolled_back", "street": "stopped"}
    assert "alarmed 5 times" in deployed.stopped
    assert household.releases.offers()[0].withdrawn_why == deployed.stopped


def test_canary_that_cannot_go_back_is_told_with_what_to_do(household: Household) -> None:
    def alarms(line: str) -> None:
        if line.startswith("hall has it"):
            hall.previous = ""
            for number in range(5):
                hall.alarm(f"false-alarm-{number}")

    with household.node("hall") as hall:
        deployed = household.deploy(household.release(), say=alarms, canary="hall", watch_s=60.0, nodes=("hall",))
    (one,) = deployed.nodes
    assert (one.state, deployed.exit_code, hall.version) == ("refused", 1, "2099.1.0")
    assert one.reason.startswith("there is no previous model; it still has the model")
    assert "alarmed 5 times" in one.reason


def test_canary_that_is_stopped_in_the_shadow_keeps_none(household: Household) -> None:
    def alarms(line: str) -> None:
        if line.startswith("hall has it"):
            assert hall.shadow == "2099.1.0"
            for number in range(5):
                hall.alarm(f"false-alarm-{number}")

    with household.node("hall", decide=lambda _: ("shadowed", "")) as hall:
        deployed = household.deploy(
            household.release(), say=alarms, canary="hall", watch_s=60.0, nodes=("hall",), mode="shadow"
        )
        assert hall.shadow == ""
    (one,) = deployed.nodes
    assert (one.state, deployed.exit_code) == ("rolled_back", 1)
    assert one.reason.startswith("nothing runs in the shadow; hall has alarmed 5 times")


def test_canary_that_went_back_by_itself_is_not_asked_again(household: Household) -> None:
    def fails(line: str) -> None:
        if line.startswith("hall has it"):
            hall.version, hall.previous = "2026.11.0", ""
            hall.tell_result("rolled_back", "it crashed", offer=hall.offers[-1])

    with household.node("hall") as hall:
        deployed = household.deploy(household.release(), say=fails, canary="hall", watch_s=60.0, nodes=("hall",))
    (one,) = deployed.nodes
    assert (one.state, one.reason) == ("rolled_back", "hall went back: it crashed")


def stopped_for_leaving(household: Household, release: Release, **options: Any) -> NodeProgress:
    """Deploy with the hall as canary, which leaves as soon as it has the model; return how it ended."""
    with ExitStack() as here:
        here.enter_context(household.node("hall", **options))
        leave = {"hall has it": here.close}
        deployed = household.deploy(
            release,
            say=lambda line: leave.pop(line[:11], lambda: None)(),
            canary="hall",
            watch_s=60.0,
            nodes=("hall",),
            mode="shadow" if options else "install",
        )
    assert deployed.exit_code == 1
    (one,) = deployed.nodes
    return one


def test_canary_that_left_with_the_model_goes_back_by_itself_when_it_returns(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "AWAY_FOR_S", 0.5)
    release = household.release()
    one = stopped_for_leaving(household, release)
    assert one.state == "away"
    assert one.reason.startswith(
        "it cannot be asked now; it lets the model go by itself as soon as it is back; hall is"
    )
    assert household.releases.offers()[0].state == "is to go back"
    with household.node("hall", version="2099.1.0", previous="2026.11.0") as hall:
        wait_until(lambda: hall.version == "2026.11.0", 20, "the way back")
        wait_until(lambda: told_of(household, "hall") == "rolled_back", 20, "its word")
    assert household.releases.offers()[0].state == "rolled_back"
    assert household.releases.offers()[0].reason.startswith("hall is away")


def test_canary_that_left_with_the_model_in_its_shadow_ends_it_when_it_returns(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "AWAY_FOR_S", 0.5)
    one = stopped_for_leaving(household, household.release(), decide=lambda _: ("shadowed", ""))
    assert (one.state, one.reason.split("; ")[1]) == ("away", "it lets the model go by itself as soon as it is back")
    with household.node("hall", shadow="2099.1.0") as hall:
        wait_until(lambda: hall.shadow == "", 20, "the end of the shadow")


def test_canary_that_was_to_go_back_keeps_the_model_when_it_is_deployed_once_more(
    household: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(canary, "AWAY_FOR_S", 0.5)
    release = household.release()
    stopped_for_leaving(household, release)
    assert retained(household.port, f"{household.prefix}/+/model/offer")
    deployed = household.deploy(release, nodes=("hall",))
    assert states(deployed) == {"hall": "same"}
    assert retained(household.port, f"{household.prefix}/+/model/offer") == {}
    assert household.releases.offers()[0].state == "installed"


def test_canary_that_refuses_stops_it(household: Household) -> None:
    with household.node("hall", decide=lambda _: ("refused", "not signed")), household.node("attic") as attic:
        deployed = household.deploy(household.release(), canary="hall", watch_s=60.0)
    assert (deployed.exit_code, deployed.stopped, attic.offers) == (1, "hall: refused: not signed", [])


def test_canary_that_is_away_is_named_before_anything_is_offered(household: Household) -> None:
    with pytest.raises(OperatorError, match="the canary hall is away"):
        household.deploy(household.release(), canary="hall")
    assert household.releases.offers() == []


def test_node_that_has_the_version_is_left_alone(household: Household) -> None:
    with household.node("hall", version="2099.1.0") as hall:
        deployed = household.deploy(household.release(), nodes=("hall",))
    assert (states(deployed), deployed.exit_code, hall.offers) == ({"hall": "same"}, 0, [])


def test_offer_that_waits_for_a_person_is_not_waited_for(household: Household) -> None:
    with household.node("hall") as hall:
        deployed = household.deploy(household.release(), nodes=("hall",), mode="offer")
        wait_until(lambda: hall.offers, 20, "the offer")
    assert (states(deployed), deployed.exit_code, hall.version) == ({"hall": "offered"}, 0, "2026.11.0")


def test_gate_holds_back_what_it_failed_unless_it_is_forced_or_in_the_shadow(household: Household) -> None:
    failed = household.release(verdict=GateVerdict("failed", "three more false alarms"))
    with pytest.raises(OperatorError, match="three more false alarms"):
        household.deploy(failed, nodes=("hall",))
    household.deploy(failed, nodes=("hall",), wait_s=0.0, mode="shadow")
    household.deploy(failed, nodes=("hall",), wait_s=0.0, is_forced=True)
    assert [(one.mode, one.is_forced) for one in household.releases.offers()] == [("shadow", False), ("install", True)]


def test_bundle_altered_in_the_home_is_offered_to_nobody(household: Household) -> None:
    release = household.release()
    path = bundle_path(household.home, release.sha256)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(BundleError, match="was altered"):
        household.deploy(release)
    assert household.releases.offers() == []


def test_rollback_asks_each_node_and_tells_what_came_of_it(household: Household) -> None:
    with household.node("hall") as hall, household.node("attic"):
        household.deploy(household.release(), nodes=("hall", "street"))
        done = {one.node: one for one in rolled_back(household, *NAMES)}
        wait_until(lambda: hall.offers[-1] is None, 20, "the offer taken back")
    assert {name: one.state for name, one in done.items()} == {
        "attic": "refused",
        "hall": "rolled_back",
        "street": "away",
    }
    assert done["attic"].reason == "there is no previous model"
    assert done["hall"].reason == "2026.11.0 decides"
    assert done["street"].reason == "it cannot be asked now; it lets 2099.1.0 go by itself as soon as it is back"
    ((topic, word),) = retained(household.port, f"{household.prefix}/+/model/offer").items()
    assert (topic.split("/")[1], ModelOffer.decode(word).mode) == ("street", "take_back")


def test_each_rollback_makes_active_what_nodes_then_decide_with(household: Household) -> None:
    shipped = load_bundled().manifest.version
    active = []
    with household.node("hall", version="2026.11.0") as hall:
        household.deploy(household.release("2099.1.0"), nodes=("hall",))
        household.deploy(household.release("2099.1.1"), nodes=("hall",))
        for _ in range(3):
            assert [one.state for one in rolled_back(household, "hall")] == ["rolled_back"]
            active.append((hall.version, model_here(household.home, household.engine).manifest.version))
        hall.previous = "2026.11.0"
        rolled_back(household, "hall")
        active.append((hall.version, model_here(household.home, household.engine).manifest.version))
        rolled_back(household, "hall")
        active.append((hall.version, model_here(household.home, household.engine).manifest.version))
    older, newer = ("2099.1.0", "2099.1.0"), ("2099.1.1", "2099.1.1")
    assert active == [older, newer, older, ("2026.11.0", shipped), older]


def test_trial_in_the_shadow_is_ended_on_request_and_no_rollback_touches_it(household: Household) -> None:
    with household.node("hall", decide=lambda _: ("shadowed", "")) as hall, household.node("attic"):
        household.deploy(household.release(), nodes=("hall",), mode="shadow")
        assert {one.node: one.state for one in rolled_back(household, "hall")} == {"hall": "refused"}
        assert hall.shadow == "2099.1.0"
        assert hall.offers[-1] is not None
        done = {one.node: one for one in rolled_back(household, *NAMES, by=end_shadow)}
        assert hall.shadow == ""
        wait_until(lambda: hall.offers[-1] is None, 20, "the offer taken back")
    assert {name: one.state for name, one in done.items()} == {
        "attic": "refused",
        "hall": "rolled_back",
        "street": "away",
    }
    assert done["attic"].reason == "no model runs in the shadow"
    (offer,) = household.releases.offers()
    assert offer.state == "taken back"
    assert "in the shadow was ended" in offer.withdrawn_why
