"""The shipped card's figures are what `trainer-cli evaluate` measures out of fold, on the models that reached them."""

import hashlib
import json
import shlex
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

import onnx
from click.testing import CliRunner
from sklearn.metrics import average_precision_score

from earshot_node.contract.manifest import MODEL_NAME, BundleManifest
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.cli.evaluate import command
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.graph.export import export_float
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.packaging.base import load_base
from earshot_trainer.packaging.figures import OPERATING_POINTS, held_out_reports
from earshot_trainer.second_opinion.joining import join, second_of
from earshot_trainer.training.run_record import load_run

pytestmark = pytest.mark.torch
PARTS = ("a", "b", "c")
GOAL_AP, GOAL_AUC = 0.85, 0.965
"""A little below what was measured out of fold over all recordings; the card says what it was."""
INT8_COSTS, INT8_MOVES = 0.003, 0.005
"""Average precision out of fold, and posteriors on the clips that it was calibrated with."""
PRESETS = ("quiet", "balanced", "sensitive")


@pytest.fixture(scope="module")
def shipped() -> BundleManifest:
    return load_bundled().manifest


@pytest.fixture
def runs(repository: Path) -> dict[str, Path]:
    return {part: repository / "tests" / "models" / part for part in PARTS}


def siren_tagging(report: dict[str, Any]) -> dict[str, Any]:
    figures: dict[str, Any] = report["labels"]["siren"]["tagging"]
    return figures


def against(report: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    """What stands beside the models in the same table, of one kind."""
    return [rival for rival in (report["against"], *report["also_against"]) if rival["subject"]["kind"] == kind]


def test_reported_figures_belong_to_the_runs_beside_the_tests(shipped: BundleManifest, runs: dict[str, Path]) -> None:
    hashes = [hashlib.sha256((run / "model.int8.onnx").read_bytes()).hexdigest() for run in runs.values()]
    reports = held_out_reports(shipped.metrics)
    assert set(reports) == {"held_out", "held_out_fold2"}
    for report in reports.values():
        assert [member["model_sha256"] for member in report["subject"]["runs"]] == hashes
        assert report["protocol"]["not_read"] == 0
        assert report["subject"]["presets"] == shipped.presets.model_dump(mode="json")


def test_runs_beside_the_tests_are_of_the_shipped_recipe_and_left_something_out(
    shipped: BundleManifest, runs: dict[str, Path]
) -> None:
    records = [load_run(run) for run in runs.values()]
    assert [record.recipe_without_seed() for record in records] == [records[0].recipe_without_seed()] * len(PARTS)
    for record in records:
        assert record.recipe_name == shipped.lineage.recipe
        assert record.tested_on.recordings > 0
        assert record.dataset_sha256 != shipped.lineage.dataset_sha256


def test_reported_figures_reach_the_goal(shipped: BundleManifest) -> None:
    report = shipped.metrics["held_out"]
    tagging = siren_tagging(report)
    assert tagging["average_precision"] >= GOAL_AP
    assert tagging["auc"] >= GOAL_AUC
    rivals = [siren_tagging(rival) for rival in against(report, "tagger")]
    assert rivals
    assert all(tagging["average_precision"] > rival["average_precision"] for rival in rivals)
    assert f"AUC {tagging['auc']:.4f}" in load_bundled().model_card


def test_int8_costs_next_to_nothing(shipped: BundleManifest) -> None:
    """Out of fold it is shown where the float graphs of the runs were measured, too."""
    quantization = shipped.metrics["quantization"]
    (chosen,) = [one for one in quantization["candidates"] if one["name"] == quantization["chosen"]]
    assert chosen["mean_deviation"] < INT8_MOVES
    report = shipped.metrics["held_out"]
    for in_float in against(report, "pooled"):
        gap = siren_tagging(report)["average_precision"] - siren_tagging(in_float)["average_precision"]
        assert abs(gap) < INT8_COSTS


@pytest.mark.audio_data
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_shipped_int8_graph_tells_sirens_apart_as_well_as_its_weights_in_float(
    shipped: BundleManifest, audio_data: Path, tmp_path: Path
) -> None:
    """On sounds that they were trained on, so the difference alone says something."""
    int8, in_float = tmp_path / "int8.onnx", tmp_path / "float.onnx"
    int8.write_bytes(load_bundled().files[MODEL_NAME])
    base = load_base()
    assert base.pin.model_sha256 == hashlib.sha256(int8.read_bytes()).hexdigest()
    network = StreamingCrnn(ModelConfig.from_dict(base.values["config"]))
    network.load_state_dict(base.values["network"])
    export_float(network.eval(), in_float)
    second = second_of(onnx.load(int8))
    assert second is not None
    onnx.save(join(onnx.load(in_float), second, network.config.labels), in_float)
    clips = [one for one in load_manifest(audio_data / "urban" / "manifest.csv") if one.fold == "us8k-fold2"]
    clips = [one for one in clips if one.is_siren] + [one for one in clips if not one.is_siren][::4]
    is_siren = [one.is_siren for one in clips]

    def average_precision(graph: Path) -> float:
        heard = BundleSubject.of_graph(graph, shipped.labels).score_files([one.path for one in clips], jobs=2)
        scores = [float(one.posteriors[:, shipped.labels.index("siren")].max()) for one in heard]
        return float(average_precision_score(is_siren, scores))

    assert abs(average_precision(int8) - average_precision(in_float)) < INT8_COSTS


def test_operating_points_stand_with_what_they_give_out_of_fold(shipped: BundleManifest) -> None:
    gives = shipped.metrics[OPERATING_POINTS]["siren"]
    assert set(gives) == set(PRESETS)
    recalls = [gives[preset]["recall"] for preset in PRESETS]
    alarms = [gives[preset]["false_alarms_per_hour"] for preset in PRESETS]
    assert recalls == sorted(recalls)
    assert alarms == sorted(alarms)
    assert all(gives[preset]["hours"] > 3 for preset in PRESETS)
    assert "They were chosen on recordings that the model looked at was not trained on." in load_bundled().model_card


@pytest.mark.audio_data
@pytest.mark.slow
def test_command_of_the_card_measures_the_reported_figures_again(
    shipped: BundleManifest, runs: dict[str, Path], tmp_path: Path
) -> None:
    reported = shipped.metrics["held_out_fold2"]
    assert reported["command"] in load_bundled().model_card
    program, name, *arguments = shlex.split(reported["command"])
    assert (program, name) == ("trainer-cli", "evaluate")
    presets = tmp_path / "presets.json"
    presets.write_text(shipped.presets.model_dump_json())
    # The card names the folders of the build; the same runs lie beside the tests.
    for place, option in enumerate(arguments[:-1]):
        if option == "--run":
            arguments[place + 1] = str(runs[Path(arguments[place + 1]).name])
        elif option == "--presets":
            arguments[place + 1] = str(presets)
    result = CliRunner().invoke(command, [*arguments, "--json", str(tmp_path / "fold2.json")])
    assert result.exit_code == 0, result.output
    again = json.loads((tmp_path / "fold2.json").read_text())
    assert again["protocol"]["data_sha256"] == reported["protocol"]["data_sha256"]
    assert again["subject"]["model_sha256"] == reported["subject"]["model_sha256"]
    tagging, expected = siren_tagging(again), siren_tagging(reported)
    assert (tagging["positives"], tagging["negatives"]) == (expected["positives"], expected["negatives"]) == (91, 532)
    for figure in ("auc", "average_precision"):
        assert tagging[figure] == pytest.approx(expected[figure], abs=0.002)
    for preset in PRESETS:
        assert tagging["at_presets"][preset]["recall"] == pytest.approx(
            expected["at_presets"][preset]["recall"], abs=0.02
        )
