"""`node-cli analyze`: events as a person and as a program reads them."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_node.inference.bundle import load_bundled
from earshot_node.synth.scene import street_scene


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene with sirens, a quiet file, an empty one and one that is no audio."""
    folder = tmp_path_factory.mktemp("audio")
    street_scene().write_wav(folder / "a_scene.wav")
    noise = 0.001 * np.random.default_rng(0).standard_normal(44100)
    soundfile.write(folder / "b_quiet.flac", np.stack([noise, noise], axis=1), 44100)
    return folder


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "earshot_node", "analyze", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_json_has_one_event_a_line_with_file_label_times_and_peak(folder: Path) -> None:
    result = analyze(folder, "--json")
    assert result.returncode == 0, result.stderr
    events = [json.loads(line) for line in result.stdout.splitlines()]
    assert len(events) >= 3
    assert {event["file"] for event in events} == {str(folder / "a_scene.wav")}
    for event in events:
        assert set(event) == {"file", "label", "onset_s", "offset_s", "peak", "kind"}
        assert event["label"] == "siren"
        assert 0 <= event["onset_s"] < event["offset_s"] <= 60
        assert 0 < event["peak"] <= 1


def test_every_siren_of_the_scene_is_found_with_its_kind_and_nothing_else(folder: Path) -> None:
    spelled = {"wail": "wail", "yelp": "yelp", "hilo": "hi_lo"}
    named = set()
    events = [json.loads(line) for line in analyze(folder / "a_scene.wav", "--json").stdout.splitlines()]
    sirens = street_scene().sirens
    for siren in sirens:
        assert any(e["onset_s"] < siren.offset_s and e["offset_s"] > siren.onset_s for e in events), siren
    for event in events:
        inside = [s for s in sirens if event["onset_s"] < s.present_until_s and event["offset_s"] > s.present_from_s]
        assert inside, event
        assert event["kind"] in {*(spelled[siren.kind] for siren in inside), "unknown"}
        named.add(event["kind"])
    assert len(named - {"unknown"}) >= 2


def test_other_labels_are_told_when_they_are_asked_for(folder: Path) -> None:
    def labels(*arguments: str) -> list[str]:
        events = analyze(folder / "a_scene.wav", "--json", *arguments).stdout.splitlines()
        return [json.loads(event)["label"] for event in events]

    known = load_bundled().manifest.labels
    others = [label for label in known if label != "siren"]
    assert others
    everything = labels("--label", "all")
    assert everything.count("siren") == len(labels()) == len(labels("--label", "siren"))
    assert set(everything) <= set(known)
    assert "siren" not in labels(*(word for label in others for word in ("--label", label)))


def test_label_that_the_model_does_not_know_is_refused_with_those_that_it_knows(folder: Path) -> None:
    result = analyze(folder / "b_quiet.flac", "--label", "sirne")
    assert result.returncode == 2
    assert "--label sirne: the model hears siren, " in result.stderr
    assert "did you mean 'siren'?" in result.stderr


def test_several_processes_give_the_same_output_as_one(folder: Path) -> None:
    shown = analyze(folder).stdout
    assert analyze(folder, "--jobs", "2").stdout == shown
    assert any(f", {kind}\n" in shown for kind in ("wail", "yelp", "hi_lo"))


def test_posteriors_are_one_row_a_frame_with_a_column_a_label(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "posteriors.csv"
    assert analyze(folder / "b_quiet.flac", "--posteriors", out).returncode == 0
    with out.open(newline="") as file:
        rows = list(csv.DictReader(file))
    labels = load_bundled().manifest.labels
    assert list(rows[0]) == ["file", "time_s", *labels]
    assert len(rows) == 25
    assert [row["time_s"] for row in rows[:3]] == ["0.04", "0.08", "0.12"]
    assert all(0 <= float(row[label]) <= 1 for row in rows for label in labels)


def test_unreadable_files_are_named_and_the_rest_is_done_with_exit_code_3(folder: Path, tmp_path: Path) -> None:
    broken, empty = tmp_path / "broken.wav", tmp_path / "empty.wav"
    broken.write_bytes(b"RIFF this is not audio")
    empty.write_bytes(b"")
    result = analyze(broken, folder / "b_quiet.flac", empty)
    assert result.returncode == 3
    assert str(broken) in result.stderr
    assert str(empty) in result.stderr
    assert len(result.stderr.splitlines()) == 2
    assert "b_quiet.flac: nothing in 1.0 s" in result.stdout


@pytest.mark.parametrize("missing", ["nowhere.wav", "nowhere/"])
def test_path_that_does_not_exist_is_one_clear_line(missing: str, tmp_path: Path) -> None:
    result = analyze(tmp_path / missing)
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "no such file or folder" in result.stderr


def test_posteriors_that_cannot_be_written_are_one_clear_line(folder: Path, tmp_path: Path) -> None:
    result = analyze(folder, "--posteriors", tmp_path / "nowhere" / "out.csv")
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert "--posteriors" in result.stderr
    assert "name another file" in result.stderr


def test_foreign_bundle_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "model.earshot"
    bundle.write_bytes(b"PK not a bundle")
    result = analyze(folder, "--bundle", bundle)
    assert result.returncode == 1
    assert "not a bundle" in result.stderr
    assert len(result.stderr.splitlines()) == 1
