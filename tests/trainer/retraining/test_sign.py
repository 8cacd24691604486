"""`trainer-cli sign` makes a release of what the gate let pass, without anybody forcing it."""

from pathlib import Path

import pytest
from support.bundles import build_bundle
from support.trainer_home import make_home, trainer_cli

from earshot_node.inference.bundle import load_bundle
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining.comparing_stages import GATE_NAME
from earshot_trainer.retraining.gate import Figure, Had, judge
from earshot_trainer.retraining.releasing_stages import CANDIDATE_NAME, RELEASE_NAME, SIGNED_NAME
from earshot_trainer.retraining.run_folder import STAGES, RunFolder, RunRequest, find_run, new_run

pytestmark = [pytest.mark.torch, pytest.mark.timeout(300)]
REAL = Had(test_clips=400, corpora=500, long_hours=0.5, own_sirens=6, own_others=6, own_sessions=4)
BETTER_AT_HOME = Figure(
    part="own", label="siren", what="right", active=0.6, candidate=0.8, more_is_better=True, gain=0.01, decides=True
)


def packaged_run(home: Home, had: Had = REAL) -> RunFolder:
    """A run that is done up to its unsigned bundle, 2099.1.0."""
    run = new_run(home.folder, RunRequest())
    run.write(GATE_NAME, judge([BETTER_AT_HOME], had, "2026.11.0").model_dump(mode="json"))
    (run / CANDIDATE_NAME).write_bytes(build_bundle(lambda manifest: manifest.update(version="2099.1.0")))
    for stage in STAGES[: STAGES.index("sign")]:
        run.finish(stage, [run / CANDIDATE_NAME] if stage == "package" else [], (), 0.0, 0.0)
    return run


@pytest.mark.parametrize(
    ("had", "gate", "may_decide"),
    [(REAL, "passed", True), (REAL.model_copy(update={"corpora": 0}), "synthetic", False)],
    ids=["promoted", "for the shadow"],
)
def test_what_passed_is_signed_by_the_home_and_becomes_a_release_that_nobody_forced(
    tmp_path: Path, had: Had, gate: str, *, may_decide: bool
) -> None:
    home = make_home(tmp_path / "home")
    run = packaged_run(home, had)
    done = trainer_cli(home, "sign", timeout_s=240)
    assert (done.returncode, done.stderr) == (0, "")
    assert "2099.1.0, signed" in done.stdout
    assert f"next: trainer-cli retrain --run {run.name} --only deploy" in done.stdout
    (release,) = Releases(open_catalogue(home.catalogue_url)).all()
    assert (release.version, release.gate, release.is_forced, release.may_decide) == (
        "2099.1.0",
        gate,
        False,
        may_decide,
    )
    bundle = load_bundle(run / SIGNED_NAME, trusted_keys=[home.public_key])
    assert (bundle.signed, bundle.manifest.version) == (True, "2099.1.0")
    assert run.read(RELEASE_NAME, "sign")["forced"] is False
    assert find_run(home.folder).next_stage() == "deploy"


def test_run_that_is_not_packaged_is_not_signed(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    run = packaged_run(home)
    run.finish("gate", (), (), 0.0, 0.0)  # judged anew: what follows is to be done again
    done = trainer_cli(home, "sign", "--run", run.name, timeout_s=240)
    assert done.returncode == 1
    assert f"run {run.name}: package comes before sign; next: trainer-cli retrain" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert Releases(open_catalogue(home.catalogue_url)).all() == []
