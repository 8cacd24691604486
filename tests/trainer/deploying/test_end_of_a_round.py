"""What a round gives to the nodes: what the gate promoted decides, what it only half believes listens."""

import pytest
from rich.console import Console
from support.household import Household

from earshot_trainer.deploying.registering import GateVerdict
from earshot_trainer.deploying.table import release_rows
from earshot_trainer.retraining.comparing_stages import GATE_NAME
from earshot_trainer.retraining.gate import Figure, Had, judge
from earshot_trainer.retraining.releasing_stages import RELEASE_NAME, deploy
from earshot_trainer.retraining.run_folder import RunRequest, new_run
from earshot_trainer.retraining.stage import Stage

pytestmark = pytest.mark.mosquitto

BETTER_AT_HOME = Figure(
    part="own", label="siren", what="right", active=0.6, candidate=0.8, more_is_better=True, gain=0.01, decides=True
)
REAL = Had(test_clips=400, corpora=500, long_hours=0.5, own_sirens=6, own_others=6, own_sessions=4)


def deployed(household: Household, had: Had, **request: object) -> Stage:
    """Run the stage on a release of what the gate says of such material."""
    report = judge([BETTER_AT_HOME], had, "2026.11.0")
    gate = {"promote": "passed", "shadow": "synthetic"}[report.outcome]
    release = household.release(verdict=GateVerdict(gate))
    run = new_run(household.home.folder, RunRequest.model_validate({"nodes": ("hall",), **request}))
    run.write(GATE_NAME, report.model_dump(mode="json"))
    run.write(RELEASE_NAME, {"version": release.version, "sha256": release.sha256, "forced": False, "gate": gate})
    stage = Stage(household.home, run, Console(quiet=True))
    deploy(stage)
    return stage


def test_what_the_gate_promoted_decides_on_the_nodes(household: Household) -> None:
    with household.node("hall") as hall:
        stage = deployed(household, REAL)
    assert (stage.exit_code, hall.version) == (0, "2099.1.0")
    assert stage.said == ["read   release 2099.1.0", "wrote  offers of 2099.1.0 to hall"]
    (offer,) = household.releases.offers()
    assert (offer.mode, offer.outcome, offer.is_forced) == ("install", "installed", False)


def test_what_was_compared_on_synthesized_sounds_alone_runs_in_the_shadow(household: Household) -> None:
    with household.node("hall", decide=lambda _: ("shadowed", "")) as hall:
        stage = deployed(household, REAL.model_copy(update={"corpora": 0}))
        assert hall.shadow == "2099.1.0"
    assert (stage.exit_code, hall.version) == (0, "2026.11.0")
    assert stage.said[-1] == "wrote  offers of 2099.1.0 for the shadow to hall"
    (offer,) = household.releases.offers()
    assert (offer.mode, offer.outcome) == ("shadow", "shadowed")


def test_round_watches_its_canary_as_long_as_asked(household: Household, capsys: pytest.CaptureFixture[str]) -> None:
    with household.node("hall") as hall, household.node("attic") as attic:
        stage = deployed(household, REAL, nodes=("hall", "attic"), canary="hall", watch_s=1.5)
    assert (stage.exit_code, hall.version, attic.version) == (0, "2099.1.0", "2099.1.0")
    assert [one.node for one in household.releases.offers() if one.is_canary] == ["hall"]
    assert "watching it for 0.025 min" in capsys.readouterr().out


def test_table_names_a_release_that_was_forced_on_nodes_though_it_was_not_made_so(household: Household) -> None:
    release = household.release(verdict=GateVerdict("synthetic"))
    household.deploy(release, nodes=("hall",), wait_s=0.0, mode="shadow")
    gate = 3
    assert "forced" not in release_rows([release], household.releases.offers(), {})[0][gate]
    household.deploy(release, nodes=("hall",), wait_s=0.0, is_forced=True)
    assert release_rows([release], household.releases.offers(), {})[0][gate].endswith(", forced")
