"""Wrong labels are found by what the other sessions say; right ones are left in peace."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from numpy.typing import NDArray
from support.kept_recordings import keep_recording
from support.recording_parts import BEGIN
from support.sounds import as_pcm, noise, wail
from support.trainer_home import make_home

from earshot_node.contract.recordings import Labelling
from earshot_node.inference.bundle import load_bundled
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.labelling.suspects import embedding, find_suspects, out_of_fold, suspects_here, too_few
from earshot_trainer.labelling.view import Ear


@pytest.fixture(scope="module")
def ear() -> Ear:
    return Ear(load_bundled())


def flipped(truth: NDArray[np.bool_], count: int, seed: int) -> tuple[NDArray[np.bool_], set[int]]:
    """Labels of which `count` are wrong, and which."""
    wrong = np.random.default_rng(seed).choice(len(truth), count, replace=False)
    given = truth.copy()
    given[wrong] ^= True
    return given, set(wrong.tolist())


def test_most_flipped_labels_of_synthesized_sounds_are_found_and_few_right_ones_named(ear: Ear) -> None:
    sounds = [*(wail(seed, 2.0) for seed in range(20)), *(noise(seed, 2.0) for seed in range(20))]
    vectors = np.stack([embedding(ear, pcm.astype(np.float32) / 32768) for pcm in sounds])
    truth = np.arange(40) < 20
    groups = [str(number // 2) for number in range(40)]
    given, wrong = flipped(truth, 5, 1)
    named = {one.index for one in find_suspects(vectors, given, groups, "siren")}
    assert len(named & wrong) >= 4
    assert len(named - wrong) <= 2
    assert len(find_suspects(vectors, truth, groups, "siren")) <= 2


@pytest.mark.audio_data
def test_most_flipped_labels_of_real_recordings_are_found(ear: Ear, audio_data: Path) -> None:
    clips = [one for one in load_manifest(audio_data / "urban/manifest.csv") if one.source == "us8k"]
    by_group: dict[str, list] = {}
    for clip in clips:
        by_group.setdefault(clip.group, []).append(clip)
    sirens = [clip for group in by_group.values() if group[0].is_siren for clip in group[:3]][:30]
    others = [clip for group in by_group.values() if not group[0].is_siren for clip in group[:2]][:30]
    chosen = [*sirens, *others]
    vectors = np.stack([embedding(ear, sf.read(clip.path, dtype="float32")[0]) for clip in chosen])
    truth = np.array([clip.is_siren for clip in chosen])
    given, wrong = flipped(truth, 6, 2)
    suspects = find_suspects(vectors, given, [clip.group for clip in chosen], "siren")
    assert len({one.index for one in suspects} & wrong) >= 4
    assert len(suspects) <= 16


def test_nobody_is_asked_about_a_session_that_it_knows() -> None:
    """Vectors that name their session and nothing else: with the session on both sides the label would be known."""
    groups = [str(number // 4) for number in range(40)]
    vectors = np.eye(10, dtype=np.float32)[[int(group) for group in groups]] * 10
    given = np.array([int(group) % 2 == 0 for group in groups])
    chances = out_of_fold(vectors, given, groups)
    assert np.abs(chances - 0.5).max() < 0.3


@pytest.mark.parametrize(
    ("given", "groups", "message"),
    [
        ([True] * 4 + [False] * 9, "abcdefghijklm", "4 with it"),
        ([True] * 9 + [False] * 4, "abcdefghijklm", "4 without it"),
        ([True] * 6 + [False] * 6, "aaaaaabcdefg", "6 with it, of 1 sessions"),
        ([True] * 6 + [False] * 6, "aaabbbcccddd", ""),
    ],
)
def test_too_few_recordings_are_told(given: list[bool], groups: str, message: str) -> None:
    told = too_few(np.array(given), list(groups))
    assert message in told
    assert bool(told) == bool(message)


def street_siren(seed: int) -> NDArray[np.int16]:
    """Three seconds of a wail with a siren's harmonics, another vehicle for every seed."""
    parameters = SirenParameters.random(SirenKind.WAIL, np.random.default_rng(seed))
    return as_pcm(0.5 * synthesize(parameters, 3.0))


def test_wrong_label_in_the_home_comes_first_with_what_the_others_say(tmp_path: Path, ear: Ear) -> None:
    home = make_home(tmp_path / "home")
    siren = Labelling(labels=("siren",), by="command_line", time=BEGIN)
    background = Labelling(by="command_line", time=BEGIN)
    # Not the wail of seed 0: the model does not hear it (posterior .17), and so suspects it, too.
    infos = [keep_recording(home, hour, siren, None, street_siren(hour + 1)) for hour in range(8)]
    infos += [keep_recording(home, 20 + hour, background, None, noise(hour, 3.0)) for hour in range(8)]
    wrong = keep_recording(home, 40, background, None, street_siren(77))
    found = suspects_here([*infos, wrong], open_audio_store(home.recordings_place), ear, lambda: None)
    assert found.waiting[0].info.id == wrong.id
    assert found.waiting[0].note.startswith("labelled without siren; the others give it ")
    assert len(found.waiting) <= 3
    assert found.told == ["siren: 17 recordings of 17 sessions compared with each other"]
