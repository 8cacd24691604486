"""A TFLite tagger is heard causally, on the grid of the detector, and chooses its points like every other subject."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

import soundfile
from click.testing import CliRunner
from support.recordings import write_corpus

from earshot_node.errors import OperatorError
from earshot_node.synth.reference import reference_clips
from earshot_trainer.cli.evaluate import command
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject, on_grid

pytestmark = pytest.mark.torch
QUICK = [word for part in ("events", "kinds", "robustness", "speed") for word in ("--skip", part)]
WINDOW_S, HOP_S, GRID_S = 0.975, 0.4875, 0.04


@pytest.fixture(scope="module")
def tagger(tagger_file: Path) -> Subject:
    return load_subject(tagger_file)


def wail() -> NDArray[np.float32]:
    return next(clip.samples for clip in reference_clips() if clip.name == "wail")


def test_score_counts_from_the_end_of_its_window_on_until_the_next() -> None:
    on = on_grid(np.array([[0.1], [0.2], [0.3]], np.float32), 60)[:, 0]
    ends_s = (np.arange(60) + 1) * GRID_S
    assert not on[ends_s < WINDOW_S].any()
    expected = (
        ((ends_s >= WINDOW_S - 1e-9) & (ends_s < WINDOW_S + HOP_S), 0.1),
        (
            (ends_s >= WINDOW_S + HOP_S) & (ends_s < WINDOW_S + 2 * HOP_S),
            0.2,
        ),
    )
    for frames, score in expected:
        assert frames.sum() >= 12
        np.testing.assert_allclose(on[frames], score)
    np.testing.assert_allclose(on[ends_s >= WINDOW_S + 2 * HOP_S], 0.3)


def test_siren_is_heard_and_silence_is_not(tagger: Subject) -> None:
    assert tagger.score_audio(np.tile(wail(), 2)).max() > 0.5
    assert tagger.score_audio(np.zeros(48_000, np.float32)).max() < 0.05


def test_posteriors_do_not_know_what_comes_later(tagger: Subject) -> None:
    samples = np.concatenate([np.zeros(32_000, np.float32), wail()])
    whole, early = tagger.score_audio(samples), tagger.score_audio(samples[:48_000])
    assert len(early) == 75
    np.testing.assert_array_equal(whole[: len(early)], early)


def test_file_gives_the_posteriors_of_its_samples_and_those_of_the_last_padded_window(
    tagger: Subject, tmp_path: Path
) -> None:
    soundfile.write(tmp_path / "wail.wav", wail(), 16_000)
    (heard,) = tagger.score_files([tmp_path / "wail.wav"], jobs=1)
    in_memory = tagger.score_audio(wail())
    np.testing.assert_array_equal(heard.posteriors[: len(in_memory)], in_memory)
    assert heard.duration_s == pytest.approx(len(wail()) / 16_000)
    assert len(heard.posteriors) > len(in_memory)


def test_clip_shorter_than_a_window_is_heard_in_a_file(tagger: Subject, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "short.wav", wail()[8_000:16_000], 16_000)
    (heard,) = tagger.score_files([tmp_path / "short.wav"], jobs=1)
    assert (heard.posteriors[:, 0] > 0).sum() == 12


def test_two_processes_hear_what_one_does(tagger: Subject, tmp_path: Path) -> None:
    for name, samples in (("wail", wail()), ("silence", np.zeros(20_000, np.float32))):
        soundfile.write(tmp_path / f"{name}.wav", samples, 16_000)
    paths = [tmp_path / "wail.wav", tmp_path / "silence.wav"]
    one, two = list(tagger.score_files(paths, jobs=1)), list(tagger.score_files(paths, jobs=2))
    for here, there in zip(one, two, strict=True):
        np.testing.assert_array_equal(here.posteriors, there.posteriors)


def test_unreadable_file_is_a_problem_of_its_own(tagger: Subject, tmp_path: Path) -> None:
    (tmp_path / "broken.flac").write_bytes(b"no audio")
    (heard,) = tagger.score_files([tmp_path / "broken.flac"], jobs=1)
    assert "broken.flac" in heard.problem


def test_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match=r"yamnet\.tflite: no such file"):
        TaggerSubject.open(tmp_path / "yamnet.tflite")


def test_missing_class_map_is_named(tagger_file: Path, tmp_path: Path) -> None:
    (tmp_path / "yamnet.tflite").write_bytes(tagger_file.read_bytes())
    with pytest.raises(OperatorError, match=r"yamnet_class_map\.csv is missing"):
        load_subject(tmp_path / "yamnet.tflite")


def test_rival_stands_in_the_same_run_at_points_chosen_on_the_same_recordings(
    tagger_file: Path, tmp_path: Path
) -> None:
    manifest = write_corpus(tmp_path)
    arguments = ["--data", str(manifest), "--against", str(tagger_file), "--jobs", "1", *QUICK]
    result = CliRunner().invoke(command, [*arguments, "--json", str(tmp_path / "report.json")])
    assert result.exit_code == 0, result.output
    assert "operating points chosen for YAMNet on these recordings" in result.output
    assert "YAMNet decides by: chosen on these recordings" in result.output
    report = json.loads((tmp_path / "report.json").read_text())
    rival = report["against"]
    assert rival["protocol"]["data_sha256"] == report["protocol"]["data_sha256"]
    assert rival["subject"]["kind"] == "tagger"
    assert rival["subject"]["presets"]["balanced"]["siren"] == rival["choices"]["siren"]["balanced"]["point"]
    assert {(one["what"], one["preset"]) for one in rival["equal_alarms"]} >= {
        ("clips", "balanced"),
        ("clips", "quiet"),
    }
