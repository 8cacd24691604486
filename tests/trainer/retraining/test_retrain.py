"""A whole round with the shipped model and tiny settings."""

import io
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.console import Console
from support.tiny_round import TINY, request
from support.trainer_home import TRAINER
from support.waiting import wait_until

from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundle, load_bundle_unsigned, load_bundled
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining.command import retrain, run_alone, show_plan, work_of
from earshot_trainer.retraining.comparing_stages import PRESETS_NAME
from earshot_trainer.retraining.run_folder import STAGES, find_run, new_run, runs_of
from earshot_trainer.retraining.stage import run_stage
from earshot_trainer.training.run_record import load_run

HEARS_SIRENS_ALONE = Path(__file__).parents[2] / "models" / "siren-without-fold2.earshot"
pytestmark = [pytest.mark.torch, pytest.mark.timeout(600)]


def test_dry_run_names_every_stage_and_changes_nothing(household: Home) -> None:
    text = io.StringIO()
    show_plan(household, request(), Console(file=text, width=120))
    assert all(stage in text.getvalue() for stage in STAGES)
    assert "6 background, 6 siren" in text.getvalue()
    assert runs_of(household.folder) == []


def test_stage_without_the_one_before_says_what_comes_first(household: Home) -> None:
    with pytest.raises(OperatorError, match="no retraining has begun"):
        run_alone(household, "gate", "", Console(quiet=True))


def test_node_that_is_away_makes_a_round_partly_done_not_done(household: Home) -> None:
    members, now = Members(open_catalogue(household.catalogue_url)), datetime.now(UTC)
    members.add_invite("cd" * 32, "hall", now, now + timedelta(hours=1))
    members.admit("cd" * 32, Member("hall", "token", "http://127.0.0.1:9", "2026.11.0", "", ""), now)
    run = new_run(household.folder, request())
    quiet = Console(quiet=True)
    assert run_stage(household, run, "collect", work_of("collect"), quiet) == 0
    run.write("gate.json", {"outcome": "promote"})
    for stage in STAGES[1:]:
        run.finish(stage, (), (), 0.0, 0.0)
    text = io.StringIO()
    assert retrain(household, request(), Console(file=text, width=200), run_name=run.name) == 3
    assert "note: not everything was collected" in text.getvalue().splitlines()[-2]


@pytest.mark.slow
def test_gate_stops_what_gains_nothing_and_force_releases_it_with_a_record(household: Home) -> None:
    text = io.StringIO()
    console = Console(file=text, width=200)
    assert retrain(household, request(), console) == 4
    run = find_run(household.folder)
    assert run.next_stage() == "package"
    assert "gate: stopped" in text.getvalue()
    assert Releases(open_catalogue(household.catalogue_url)).all() == []

    trained = (run / "model.pt").read_bytes()
    assert retrain(household, request(), console, run_name=run.name) == 4
    assert retrain(household, request(force=True), console, run_name=run.name) == 0
    assert (run / "model.pt").read_bytes() == trained
    assert load_run(run / "run.json").retraining is not None  # so that `train --start` knows it for what it is
    assert find_run(household.folder).next_stage() is None
    assert "next: trainer-cli releases lists it" in text.getvalue()
    (release,) = Releases(open_catalogue(household.catalogue_url)).all()
    assert (release.gate, release.is_forced, release.may_decide) == ("failed", True, True)

    bundle, shipped = load_bundle(run / "signed.earshot", trusted_keys=[household.public_key]), load_bundled()
    assert bundle.signed
    assert bundle.manifest.lineage.parent == shipped.manifest.version
    assert bundle.manifest.version == release.version != shipped.manifest.version
    assert bundle.manifest.metrics["gate"]["forced"] is True
    assert bundle.manifest.audio_licences["the household's own"] == 8
    assert set(shipped.manifest.audio_licences) <= set(bundle.manifest.audio_licences)
    assert bundle.model != shipped.model
    assert "promoted all the same, by --force" in bundle.model_card


@pytest.mark.slow
def test_labels_that_the_active_model_does_not_hear_yet_get_the_points_of_the_one_it_began_with(
    household: Home,
) -> None:
    asked = request().model_copy(update={"active": str(HEARS_SIRENS_ALONE)})
    run, text = new_run(household.folder, asked), io.StringIO()
    for stage in STAGES[: STAGES.index("evaluate")]:
        assert run_stage(household, run, stage, work_of(stage), Console(file=text, width=200)) == 0
    made, shipped = load_presets(run / PRESETS_NAME), load_bundled().manifest.presets
    assert set(made.balanced) == set(load_run(run / "run.json").labels) == set(shipped.balanced)
    old = load_bundle_unsigned(HEARS_SIRENS_ALONE).manifest.presets.balanced["siren"]
    assert made.balanced["siren"].min_length_s == old.min_length_s
    assert made.balanced["speech"].min_length_s == shipped.balanced["speech"].min_length_s
    assert "speech: thresholds moved by" in text.getvalue()


@pytest.mark.slow
def test_killed_round_goes_on_where_it_was(household: Home, tmp_path: Path) -> None:
    words = [word for setting in (*TINY, "tuning.steps=60") for word in ("--set", setting)]
    command = [*TRAINER, "retrain", "--home", str(household.folder), "--force", *words]
    log = tmp_path / "log"

    def start() -> subprocess.Popen[bytes]:
        with log.open("ab") as stream:
            return subprocess.Popen(command, stdout=stream, stderr=stream)

    def kill_when(name: str) -> None:
        process = start()
        wait_until(lambda: any(household.folder.glob(f"runs/2*/{name}")) or process.poll() is not None, 300, name)
        process.send_signal(signal.SIGKILL)
        assert process.wait(20) == -signal.SIGKILL, log.read_text()

    kill_when("checkpoint.pt")
    (run,) = runs_of(household.folder)
    assert run.next_stage() == "train"
    split = run.stamp("split")
    kill_when("stages/train.json")
    kill_when("stages/calibrate.json")
    process = start()
    assert process.wait(300) == 0, log.read_text()
    (run,) = runs_of(household.folder)
    assert run.next_stage() is None
    assert run.stamp("split") == split
    assert log.read_text().count("going on with run") == 3
    assert len(Releases(open_catalogue(household.catalogue_url)).all()) == 1
    assert not (run / "checkpoint.pt").exists()
