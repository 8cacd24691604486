"""A subject hears files and audio in memory alike."""

import pickle
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

import onnx
import soundfile
from support.unsure import CONFIG, stand_in_of_three, swelling, write_unsure

from earshot_node.synth.reference import reference_clips
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.second_opinion.joining import join

pytestmark = pytest.mark.torch


def test_audio_in_memory_gives_the_posteriors_of_its_file(tmp_path: Path) -> None:
    samples = np.tile(next(clip.samples for clip in reference_clips() if clip.name == "wail"), 4)
    soundfile.write(tmp_path / "wail.wav", samples, 16_000, subtype="FLOAT")
    subject = load_subject(None)
    (heard,) = subject.score_files([tmp_path / "wail.wav"], jobs=1)
    in_memory = subject.score_audio(samples)
    assert in_memory.shape == (len(samples) // round(16_000 * subject.hop_s), len(subject.labels))
    np.testing.assert_allclose(in_memory, heard.posteriors, atol=1e-4)


def test_each_audio_begins_with_a_fresh_state() -> None:
    samples = next(clip.samples for clip in reference_clips() if clip.name == "wail")
    subject = load_subject(None)
    np.testing.assert_array_equal(subject.score_audio(samples), subject.score_audio(samples))


def test_audio_shorter_than_a_hop_gives_no_frame() -> None:
    subject = load_subject(None)
    assert subject.score_audio(np.zeros(100, np.float32)).shape == (0, len(subject.labels))


def test_subject_that_has_heard_something_travels_to_another_process() -> None:
    subject = load_subject(None)
    samples = np.random.default_rng(1).normal(0, 0.1, 16_000).astype(np.float32)
    here = subject.score_audio(samples)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(subject)).score_audio(samples), here)


def test_one_label_costs_no_answers_about_others(tmp_path: Path) -> None:
    graph = tmp_path / "joint.onnx"
    onnx.save(join(onnx.load(write_unsure(tmp_path)), stand_in_of_three(), CONFIG.labels), graph)
    subject = BundleSubject.of_graph(graph, ("siren", "horn", "dog"))
    everything, sirens = subject.score_audio(swelling()[0]), subject.score_audio(swelling()[0], "siren")
    np.testing.assert_array_equal(sirens[:, 0], everything[:, 0])
    assert everything[:, 2].any()
    assert not sirens[:, 2].any()
