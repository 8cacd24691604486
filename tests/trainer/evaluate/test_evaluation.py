"""An evaluation runs the node's own pipeline, measures what was selected, and says how."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from click.testing import CliRunner
from support.bundles import build_bundle
from support.recordings import write_corpus

from earshot_node.analysis import analyze_files
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.cli.evaluate import PARTS, command
from earshot_trainer.corpus.recordings import Recording, dataset_hash, load_manifest
from earshot_trainer.evaluate.command import SECTIONS
from earshot_trainer.evaluate.equal_alarms import EQUAL_ALARMS
from earshot_trainer.evaluate.evaluation import Selection, check_present, compare, evaluate
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.presets import load_presets, load_presets_file
from earshot_trainer.evaluate.tracks import detect

pytestmark = pytest.mark.torch
QUICK = [word for part in ("events", "kinds", "robustness", "speed") for word in ("--skip", part)]


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture
def recordings(manifest: Path) -> list[Recording]:
    return load_manifest(manifest)


@pytest.fixture
def anything(manifest: Path) -> Selection:
    return Selection((str(manifest),))


def names(recordings: list[Recording]) -> list[str]:
    return [recording.name.removesuffix(".flac") for recording in recordings]


def test_events_are_those_that_the_node_finds_in_the_same_files(
    recordings: list[Recording], anything: Selection
) -> None:
    subject = load_subject(None)
    _, scored = evaluate(subject, recordings, anything)
    point = subject.presets.balanced["siren"]
    analyses = list(analyze_files([recording.path for recording in recordings], load_bundled()))
    assert len(analyses) == len(scored.by_label["siren"]) == 7
    for track, analysis in zip(scored.by_label["siren"], analyses, strict=True):
        heard = [replace(event, kind=None) for event in analysis.events]
        assert detect(track.posteriors, "siren", point, track.hop_s) == heard
        assert track.duration_s == pytest.approx(track.recording.duration_s, abs=0.01)


def test_two_processes_measure_what_one_does(recordings: list[Recording], anything: Selection) -> None:
    one, _ = evaluate(load_subject(None), recordings, anything, jobs=1)
    two, _ = evaluate(load_subject(None), recordings, anything, jobs=2)
    assert one.to_dict() == two.to_dict()


def test_clips_and_long_recordings_are_measured_apart(recordings: list[Recording], anything: Selection) -> None:
    evaluation, _ = evaluate(load_subject(None), recordings, anything)
    figures = evaluation.labels["siren"]
    assert figures.tagging is not None
    assert (figures.tagging.positives, figures.tagging.positive_groups, figures.tagging.negatives) == (2, 2, 2)
    assert figures.false_alarms["balanced"].recordings == 2
    assert figures.false_alarms["balanced"].hours == pytest.approx(32 / 3600)
    assert figures.long_recall is not None
    assert figures.long_recall.recordings == 1


def test_protocol_names_data_model_and_operating_points(recordings: list[Recording], anything: Selection) -> None:
    subject = load_subject(None)
    report = evaluate(subject, recordings, anything)[0].to_dict()
    assert report["protocol"]["data_sha256"] == dataset_hash(recordings)
    assert (report["protocol"]["clips"], report["protocol"]["long_recordings"]) == (4, 3)
    assert report["subject"]["model_sha256"] == load_bundled().manifest.files["model.onnx"]
    assert report["protocol"]["groups"] == sorted({recording.group for recording in recordings})
    assert report["subject"]["presets"]["balanced"]["siren"]["enter"] > 0


def test_folds_and_sources_select_together(recordings: list[Recording]) -> None:
    assert names(Selection((), folds=("a",), sources=("street",)).apply(recordings)) == ["wail", "horn", "street"]


def test_excluded_group_is_left_out(recordings: list[Recording]) -> None:
    assert names(Selection((), folds=("a",), excluded_groups=("1",)).apply(recordings)) == ["horn"]


@pytest.mark.parametrize(
    "selection",
    [
        Selection((), folds=("c",)),
        Selection((), sources=("nowhere",)),
        Selection((), excluded_groups=("99",)),
        Selection((), folds=("a",), excluded_groups=("1", "2")),
    ],
)
def test_selection_that_matches_nothing_is_refused(recordings: list[Recording], selection: Selection) -> None:
    with pytest.raises(OperatorError):
        selection.apply(recordings)


def test_missing_file_is_named_before_anything_is_measured(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    (tmp_path / "hilo.flac").unlink()
    with pytest.raises(OperatorError, match=r"hilo\.flac does not exist"):
        check_present(Selection(()).apply(load_manifest(manifest)))


def test_bare_graph_gives_the_posteriors_of_its_bundle(
    recordings: list[Recording], anything: Selection, tmp_path: Path
) -> None:
    bundled = load_subject(None)
    (tmp_path / "model.onnx").write_bytes(load_bundled().model)
    bare = load_subject(tmp_path / "model.onnx", bundled.labels)
    assert bare.model_sha256 == bundled.model_sha256
    _, of_bare = evaluate(bare, recordings, anything)
    _, of_bundle = evaluate(bundled, recordings, anything)
    assert compare(of_bare, of_bundle, "siren") == {"largest": 0.0, "mean": 0.0}


def test_bare_graph_with_another_number_of_labels_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(load_bundled().model)
    with pytest.raises(
        OperatorError, match=rf"gives {len(load_bundled().manifest.labels)} posteriors a frame.*--label"
    ):
        load_subject(tmp_path / "model.onnx", ("siren", "glass"))


def test_file_that_is_no_graph_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(OperatorError, match="is no ONNX graph") as caught:
        load_subject(tmp_path / "model.onnx")
    assert "\n" not in str(caught.value)


def test_command_prints_protocol_and_writes_json(manifest: Path, tmp_path: Path) -> None:
    report = tmp_path / "out" / "report.json"
    result = CliRunner().invoke(
        command, ["--data", str(manifest), "--fold", "a", "--jobs", "1", *QUICK, "--json", str(report)]
    )
    assert result.exit_code == 0, result.output
    assert "selected  fold a" in result.output
    assert "AUC" in result.output
    values = json.loads(report.read_text())
    assert values["protocol"]["folds"] == ["a"]
    assert values["command"] == f"trainer-cli evaluate --data {manifest} --fold a {' '.join(QUICK)}"
    assert values["speed"]["audio_hours"] == pytest.approx(8 / 3600, abs=1e-3)


def test_parts_that_can_be_skipped_are_those_that_are_measured() -> None:
    assert (*(section.key for section in SECTIONS), EQUAL_ALARMS) == PARTS


def test_page_to_listen_to_is_written_with_all_figures(manifest: Path, tmp_path: Path) -> None:
    report = tmp_path / "page"
    result = CliRunner().invoke(command, [*QUICK, "--data", str(manifest), "--jobs", "1", "--report", str(report)])
    assert result.exit_code == 0, result.output
    assert "page/index.html" in result.output
    assert "<html" in (report / "index.html").read_text()
    assert json.loads((report / "report.json").read_text())["protocol"]["recordings"] == 7


def test_bundle_and_runs_cannot_be_measured_at_once(manifest: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(command, ["--data", str(manifest), "--onnx", "x.onnx", "--run", str(tmp_path)])
    assert result.exit_code == 2
    assert "not two of them" in result.output


def test_command_compares_two_models_on_the_same_clips(manifest: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "same.earshot"
    bundle.write_bytes(build_bundle())
    result = CliRunner().invoke(
        command,
        [*QUICK, "--data", str(manifest), "--jobs", "1", "--against", str(bundle), "--json", str(tmp_path / "r.json")],
    )
    assert result.exit_code == 0, result.output
    assert "difference, points" in result.output
    assert "+0.00" in result.output
    assert json.loads((tmp_path / "r.json").read_text())["against"]["posterior_gaps"]["siren"]["largest"] == 0.0


def test_command_chooses_presets_that_it_then_decides_by(manifest: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "presets.json"
    result = CliRunner().invoke(
        command, [*QUICK, "--data", str(manifest), "--jobs", "1", "--choose-presets", str(chosen)]
    )
    assert result.exit_code == 0, result.output
    presets = load_presets(chosen)
    assert f"enter {presets.quiet['siren'].enter:g}" in result.output
    again = CliRunner().invoke(command, [*QUICK, "--data", str(manifest), "--jobs", "1", "--presets", str(chosen)])
    assert again.exit_code == 0, again.output
    assert "points: presets.json" in again.output


def test_chosen_presets_carry_what_they_were_chosen_on(manifest: Path, tmp_path: Path) -> None:
    chosen = tmp_path / "presets.json"
    arguments = [*QUICK, "--data", str(manifest), "--fold", "a", "--source", "street", "--jobs", "1"]
    result = CliRunner().invoke(command, [*arguments, "--choose-presets", str(chosen)])
    assert result.exit_code == 0, result.output
    evidence = load_presets_file(chosen).chosen_on
    assert evidence is not None
    assert evidence.model_sha256 == load_subject(None).model_sha256
    assert evidence.groups == {"1", "2", "street/street.flac"}
    # In a street nobody knows of horns: they have no points, and sirens have.
    assert "car_horn: operating points cannot be chosen: no long recordings without car_horn" in result.output
    assert "car_horn" not in load_presets(chosen).balanced
    assert "siren" in load_presets(chosen).balanced
    chosen.write_text(load_presets(chosen).model_dump_json())
    assert load_presets_file(chosen).chosen_on is None


def test_unreadable_file_is_named_and_the_rest_is_measured(tmp_path: Path) -> None:
    manifest = write_corpus(tmp_path)
    (tmp_path / "hiss.flac").write_bytes(b"no audio")
    report = tmp_path / "report.json"
    arguments = [*QUICK, "--data", str(manifest), "--jobs", "1", "--json", str(report)]
    result = CliRunner().invoke(command, arguments, standalone_mode=False)
    assert result.return_value == 3
    protocol = json.loads(report.read_text())["protocol"]
    assert (protocol["recordings"], protocol["clips"], protocol["not_read"]) == (6, 3, 1)
    read = [recording for recording in load_manifest(manifest) if recording.name != "hiss.flac"]
    assert protocol["data_sha256"] == dataset_hash(read)
    assert "4" not in protocol["groups"]
    assert "not read: " in result.output
    assert "hiss.flac" in result.output
    assert "against 1 others" in result.output


@pytest.mark.parametrize("text", ["", "{}", '{"quiet": {}}', "no json"])
def test_file_without_presets_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "presets.json").write_text(text)
    with pytest.raises(OperatorError, match=r"presets\.json holds no presets") as caught:
        load_presets(tmp_path / "presets.json")
    assert "\n" not in str(caught.value)


def test_presets_of_an_unknown_label_are_refused(manifest: Path, tmp_path: Path) -> None:
    points = {"glass": {"enter": 0.5, "leave": 0.3, "min_length_s": 0.2, "bridging_s": 1, "cooldown_s": 1}}
    presets = Presets.model_validate(dict.fromkeys(("quiet", "balanced", "sensitive"), points))
    (tmp_path / "presets.json").write_text(presets.model_dump_json())
    result = CliRunner().invoke(command, ["--data", str(manifest), "--presets", str(tmp_path / "presets.json")])
    assert isinstance(result.exception, OperatorError)
    assert "'glass'" in str(result.exception)


@pytest.mark.audio_data
def test_fold_two_has_the_clips_that_its_figures_are_stated_on(audio_data: Path) -> None:
    recordings = Selection((), folds=("us8k-fold2",)).apply(load_manifest(audio_data / "urban" / "manifest.csv"))
    assert (len(recordings), sum(recording.is_siren for recording in recordings)) == (623, 91)
    assert np.all([recording.kind == "clip" for recording in recordings])
