"""The shipped card's held-out figures are what `trainer-cli evaluate` measures, on the model that reached them."""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from click.testing import CliRunner

from earshot_node.contract.manifest import BundleManifest
from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_trainer.cli.evaluate import command

pytestmark = pytest.mark.torch
GOAL_AUC = 0.93
TAGGING_ALONE = [word for part in ("events", "robustness", "speed") for word in ("--skip", part)]


@pytest.fixture(scope="module")
def shipped() -> BundleManifest:
    return load_bundled().manifest


@pytest.fixture
def measured_bundle(repository: Path) -> Path:
    return repository / "tests" / "models" / "siren-without-fold2.earshot"


def siren_figures(report: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = report["labels"]["siren"]
    return figures


def test_reported_figures_belong_to_the_bundle_beside_the_tests(shipped: BundleManifest, measured_bundle: Path) -> None:
    bundle = load_bundle_unsigned(measured_bundle)
    reports = [report for name, report in shipped.metrics.items() if name.startswith("held_out")]
    assert len(reports) == 2
    for report in reports:
        assert report["subject"]["model_sha256"] == hashlib.sha256(bundle.model).hexdigest()
    assert bundle.manifest.presets == shipped.presets
    assert bundle.manifest.lineage.recipe == shipped.lineage.recipe
    assert bundle.manifest.lineage.dataset_sha256 != shipped.lineage.dataset_sha256


def test_reported_auc_reaches_the_goal_and_int8_costs_under_half_a_point(shipped: BundleManifest) -> None:
    report = shipped.metrics["held_out"]
    auc = siren_figures(report)["tagging"]["auc"]
    assert auc >= GOAL_AUC
    assert abs(auc - siren_figures(report["against"])["tagging"]["auc"]) < 0.005
    assert f"AUC {auc:.4f}" in load_bundled().model_card


@pytest.mark.audio_data
@pytest.mark.slow
def test_command_of_the_card_measures_the_reported_auc_again(
    shipped: BundleManifest, repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reported = shipped.metrics["held_out"]
    program, name, *arguments = shlex.split(reported["command"])
    assert (program, name) == ("trainer-cli", "evaluate")
    assert reported["command"] in load_bundled().model_card
    monkeypatch.chdir(repository)
    result = CliRunner().invoke(command, [*arguments, *TAGGING_ALONE, "--json", str(tmp_path / "fold2.json")])
    assert result.exit_code == 0, result.output
    again = json.loads((tmp_path / "fold2.json").read_text())
    assert again["protocol"]["data_sha256"] == reported["protocol"]["data_sha256"]
    tagging = siren_figures(again)["tagging"]
    assert (tagging["positives"], tagging["negatives"]) == (91, 532)
    assert tagging["auc"] >= GOAL_AUC
    assert tagging["auc"] == pytest.approx(siren_figures(reported)["tagging"]["auc"], abs=0.002)
