"""Out of fold: each recording is heard by a run that was not trained on it, and nothing else is."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from click.testing import CliRunner
from support.recordings import write_corpus

from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.cli.evaluate import command
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.pooled_subject import PooledSubject
from earshot_trainer.evaluate.presets import load_presets_file
from earshot_trainer.evaluate.sections import Material

pytestmark = pytest.mark.torch
QUICK = [word for part in ("events", "kinds", "robustness", "speed") for word in ("--skip", part)]
SHIPPED = load_bundled().model
LABELS = list(load_bundled().manifest.labels)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def recordings(corpus: Path) -> list[Recording]:
    return load_manifest(corpus)


def graph(number: int) -> bytes:
    """The shipped graph with a producer of its own: another hash, the same posteriors."""
    import onnx

    model = onnx.load_from_string(SHIPPED)
    model.producer_version = f"copy {number}"
    return bytes(model.SerializeToString())


def write_run(folder: Path, number: int, trained_on: list[str], **changes: Any) -> Path:
    """A finished run with one INT8 graph."""
    folder.mkdir(parents=True)
    model = graph(number)
    (folder / "model.int8.onnx").write_bytes(model)
    values: dict[str, Any] = {
        "recipe": {"name": "siren", "model": {"labels": LABELS}, "training": {"seed": 1}},
        "seed": 1,
        "code_version": "1",
        "dataset_sha256": "ab" * 32,
        "training_groups": trained_on,
        "graphs": {hashlib.sha256(model).hexdigest(): "model.int8.onnx"},
        "trained_on": {"recordings": 1},
        "audio_licences": {"CC0": 1},
    }
    (folder / "run.json").write_text(json.dumps(values | changes))
    return folder


@pytest.fixture
def runs(tmp_path: Path, recordings: list[Recording]) -> list[Path]:
    """Two runs: `a` left fold a and the street out, `b` fold b and the room; both know the long siren."""
    group = {recording.name.removesuffix(".flac"): recording.group for recording in recordings}
    left_out = {"a": {"wail", "horn", "street"}, "b": {"hilo", "hiss", "room"}}
    return [
        write_run(tmp_path / name, number, [group[r] for r in group if r not in left_out[name]])
        for number, name in enumerate(left_out)
    ]


def test_each_recording_is_heard_by_the_run_that_left_it_out(recordings: list[Recording], runs: list[Path]) -> None:
    pooled = PooledSubject.open(runs, recordings)
    names = {r.name: pooled.members[pooled.member_of[r.path]].name for r in recordings if r.path in pooled.member_of}
    assert names == {
        **dict.fromkeys(("wail.flac", "horn.flac", "street.flac"), "a/model.int8.onnx"),
        **dict.fromkeys(("hilo.flac", "hiss.flac", "room.flac"), "b/model.int8.onnx"),
    }
    assert [r.name for r in recordings if r.path not in pooled.member_of] == ["long_siren.flac"]


def test_posteriors_are_those_of_the_run_and_keep_the_order(recordings: list[Recording], runs: list[Path]) -> None:
    pooled = PooledSubject.open(runs, recordings)
    paths = [recording.path for recording in recordings if recording.path in pooled.member_of]
    alone = list(load_subject(runs[0] / "model.int8.onnx").score_files(paths, jobs=1))
    for heard, expected in zip(pooled.score_files(paths, jobs=1), alone, strict=True):
        np.testing.assert_array_equal(heard.posteriors, expected.posteriors)


def test_recording_that_every_run_knows_is_refused(recordings: list[Recording], runs: list[Path]) -> None:
    pooled = PooledSubject.open(runs, recordings)
    known = next(recording for recording in recordings if recording.name == "long_siren.flac")
    with pytest.raises(KeyError):
        list(pooled.score_files([known.path], jobs=1))
    with pytest.raises(OperatorError, match=r"no run left all of long_siren\.flac out"):
        pooled.for_recordings([known])


def test_audio_is_mixed_within_the_test_side_of_one_run(recordings: list[Recording], runs: list[Path]) -> None:
    pooled = PooledSubject.open(runs, recordings)
    by_name = {recording.name: recording for recording in recordings}
    assert pooled.for_recordings([by_name["wail.flac"], by_name["street.flac"]]) is pooled.members[0].subject
    with pytest.raises(OperatorError, match="mix recordings of one run's test side"):
        pooled.for_recordings([by_name["wail.flac"], by_name["room.flac"]])
    with pytest.raises(ValueError, match="for_recordings"):
        pooled.score_audio(np.zeros(16_000, np.float32))


def test_pools_of_the_material_are_the_test_sides(recordings: list[Recording], runs: list[Path]) -> None:
    pooled = PooledSubject.open(runs, recordings)
    heard = [recording for recording in recordings if recording.path in pooled.member_of]
    material = Material.of(pooled, heard, seed=1, jobs=1)
    assert material.pool_names == ("a/model.int8.onnx", "b/model.int8.onnx")
    assert [sorted(r.name for r in pool) for pool in material.pools] == [
        ["horn.flac", "street.flac", "wail.flac"],
        ["hilo.flac", "hiss.flac", "room.flac"],
    ]
    assert len(Material.of(load_subject(None), heard, seed=1, jobs=1).pools) == 1


def test_runs_that_know_everything_are_refused(recordings: list[Recording], tmp_path: Path) -> None:
    run = write_run(tmp_path / "all", 3, [recording.group for recording in recordings])
    with pytest.raises(OperatorError, match="all 7 recordings were trained on by every run"):
        PooledSubject.open([run], recordings)


def test_graph_of_another_run_is_refused(recordings: list[Recording], runs: list[Path]) -> None:
    (runs[0] / "other.onnx").write_bytes(graph(9))
    with pytest.raises(OperatorError, match=r"other\.onnx was not made of the run"):
        PooledSubject.open([runs[0] / "other.onnx"], recordings)


def test_same_graph_twice_is_refused(recordings: list[Recording], runs: list[Path]) -> None:
    with pytest.raises(OperatorError, match="the same graph twice"):
        PooledSubject.open([runs[0], runs[0] / "model.int8.onnx"], recordings)


def test_run_without_a_graph_says_how_to_make_one(recordings: list[Recording], runs: list[Path]) -> None:
    (runs[0] / "model.int8.onnx").unlink()
    with pytest.raises(OperatorError, match=r"has no graph; make one with `trainer-cli quantize`"):
        PooledSubject.open(runs, recordings)


def test_command_measures_out_of_fold_and_says_which_runs_judged_what(
    corpus: Path, runs: list[Path], recordings: list[Recording], tmp_path: Path
) -> None:
    chosen, report = tmp_path / "presets.json", tmp_path / "report.json"
    arguments = [word for run in runs for word in ("--run", str(run))]
    arguments += ["--data", str(corpus), "--jobs", "1", *QUICK]
    result = CliRunner().invoke(command, [*arguments, "--choose-presets", str(chosen), "--json", str(report)])
    assert result.exit_code == 0, result.output
    assert "left out: 1 recordings that every run was trained on" in result.output
    assert "siren: fold by fold, model.int8.onnx, 2 runs out of fold" in result.output
    values = json.loads(report.read_text())
    assert values["protocol"]["heard_by_no_run"] == 1
    assert values["protocol"]["recordings"] == 6
    assert [run["recordings"] for run in values["subject"]["runs"]] == [3, 3]
    assert {group for run in values["subject"]["runs"] for group in run["groups"]} == set(values["protocol"]["groups"])
    assert [fold["positives"] for fold in values["folds"]["by_label"]["siren"]] == [1, 1]
    evidence = load_presets_file(chosen).chosen_on
    assert evidence is not None
    hashes = [hashlib.sha256((run / "model.int8.onnx").read_bytes()).hexdigest() for run in runs]
    group = {recording.name: recording.group for recording in recordings}
    assert evidence.graphs == {
        hashes[0]: {group[name] for name in ("wail.flac", "horn.flac", "street.flac")},
        hashes[1]: {group[name] for name in ("hilo.flac", "hiss.flac", "room.flac")},
    }
    assert set(evidence.figures["siren"]) == {"quiet", "balanced", "sensitive"}
    assert evidence.figures["siren"]["balanced"]["per_hour"] >= 0
    assert " ".join(f"--run {run.parent.name}/{run.name}" for run in runs) in values["command"]


def test_other_graphs_of_the_same_runs_are_compared_out_of_fold(corpus: Path, runs: list[Path], tmp_path: Path) -> None:
    words = []
    for number, run in enumerate(runs):
        words += ["--run", str(run), "--against-run", str(run / "model.float.onnx")]
        model = graph(number + 10)
        (run / "model.float.onnx").write_bytes(model)
        values = json.loads((run / "run.json").read_text())
        values["graphs"][hashlib.sha256(model).hexdigest()] = "model.float.onnx"
        (run / "run.json").write_text(json.dumps(values))
    report = tmp_path / "report.json"
    arguments = [*words, "--data", str(corpus), "--jobs", "1", *QUICK, "--skip", "equal_alarms"]
    result = CliRunner().invoke(command, [*arguments, "--json", str(report)])
    assert result.exit_code == 0, result.output
    values = json.loads(report.read_text())
    assert values["against"]["subject"]["title"] == "model.float.onnx, 2 runs out of fold"
    assert values["against"]["posterior_gaps"]["siren"]["largest"] == 0.0
    assert values["against"]["subject"]["presets_origin"] == "those of model.int8.onnx, 2 runs out of fold"
