"""The view that is shown, and what a candidate is compared with, is the model which nodes run."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.deployed import write_bundle
from support.trainer_home import make_home

from earshot_node.errors import BundleError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.catalogue.releases import Offer, Releases
from earshot_trainer.deploying.active_model import model_here
from earshot_trainer.deploying.registering import GateVerdict, bundle_path, register_release
from earshot_trainer.retraining.parts import active_bundle
from earshot_trainer.retraining.run_folder import RunRequest, new_run


def test_model_that_nodes_installed_last_is_taken_then_the_bundled_one(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    engine = open_catalogue(home.catalogue_url)
    releases = Releases(engine)
    bundled = load_bundled().manifest.version
    assert model_here(home, engine).manifest.version == bundled
    bundle = write_bundle(tmp_path, "2099.1.0", key=home.key)
    release = register_release(home, releases, bundle, verdict=GateVerdict())

    def offer(number: int, outcome: str) -> Offer:
        at = f"2026-11-22T10:00:0{number}.000Z"
        return Offer(str(number), "hall", release.sha256, "install", False, "ada", False, at, outcome)

    releases.note_offers([offer(1, "refused"), offer(2, "shadowed")])
    assert model_here(home, engine).manifest.version == bundled
    releases.note_offers([offer(3, "installed")])
    assert model_here(home, engine).manifest.version == "2099.1.0"
    assert model_here(home, engine, bundle).manifest.version == "2099.1.0"
    bundle_path(home, release.sha256).unlink()
    assert model_here(home, engine).manifest.version == bundled


@pytest.mark.parametrize(
    ("gate", "outcomes", "active"),
    [
        (GateVerdict("passed"), [], "bundled"),
        (GateVerdict("passed"), [("install", "")], "bundled"),
        (GateVerdict("passed"), [("install", "refused")], "bundled"),
        (GateVerdict("passed"), [("install", "installed")], "2099.1.0"),
        (GateVerdict("passed"), [("install", "kept")], "2099.1.0"),
        (GateVerdict("passed"), [("install", "rolled_back")], "bundled"),
        (GateVerdict("synthetic"), [("shadow", "shadowed")], "bundled"),
        (GateVerdict("synthetic"), [("shadow", "shadowed"), ("install", "kept")], "2099.1.0"),
    ],
    ids=[
        "not deployed", "nothing told", "refused", "installed", "kept", "went back", "shadow", "forced after a shadow",
    ],
)  # fmt: skip
def test_retraining_compares_with_what_nodes_run(
    tmp_path: Path, gate: GateVerdict, outcomes: list[tuple[str, str]], active: str
) -> None:
    home = make_home(tmp_path / "home")
    releases = Releases(open_catalogue(home.catalogue_url))
    release = register_release(home, releases, write_bundle(tmp_path, "2099.1.0", key=home.key), verdict=gate)
    made = [
        Offer(str(n), "hall", release.sha256, mode, False, "ada", False, f"2026-11-22T10:00:0{n}.000Z", outcome)
        for n, (mode, outcome) in enumerate(outcomes)
    ]
    releases.note_offers(made)
    run = new_run(home.folder, RunRequest())
    expected = load_bundled().manifest.version if active == "bundled" else active
    assert active_bundle(home, run).manifest.version == expected


def test_canary_that_left_with_a_stopped_model_does_not_make_it_active(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    engine = open_catalogue(home.catalogue_url)
    bundle = write_bundle(tmp_path, "2099.1.0", key=home.key)
    release = register_release(home, Releases(engine), bundle, verdict=GateVerdict())
    at = "2026-11-22T10:00:00.000Z"
    Releases(engine).note_offers([Offer("1", "hall", release.sha256, "install", True, "ada", False, at, "installed")])
    assert model_here(home, engine).manifest.version == "2099.1.0"
    Releases(engine).note_withdrawal("hall", ["1"], "it is away", datetime.now(UTC))
    assert model_here(home, engine).manifest.version == load_bundled().manifest.version


def test_model_that_was_asked_for_and_is_none_is_an_error(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    (tmp_path / "x.earshot").write_bytes(b"x")
    with pytest.raises(BundleError, match=r"x\.earshot"):
        model_here(home, open_catalogue(home.catalogue_url), tmp_path / "x.earshot")
