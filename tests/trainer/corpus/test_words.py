"""Words of tables of recordings and the labels that they stand for."""

import csv
from pathlib import Path

import pytest

from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.corpus.words import doubtful_in, label_words, labels_of


def test_a_word_means_one_thing() -> None:
    for label, words in label_words().items():
        assert words.holds, label
        assert not words.holds & words.may_hold, label
    assert labels_of("crying_baby") == {"baby_cry"}
    assert labels_of("siren") == labels_of("drilling") == frozenset()
    assert doubtful_in("children_playing") >= {"music", "speech"}


@pytest.mark.parametrize(
    ("row", "labels", "doubtful"),
    [
        ("x.wav,baby_cry,0,", {"baby_cry"}, {"speech"}),
        ("x.wav,siren,1,", {"siren"}, {"car_horn", "speech"}),
        ("x.wav,drilling,0,", set(), set()),
        ("x.wav,baby_cry,1,", {"siren", "baby_cry"}, {"speech"}),
        # What is said in full is all that there is to say.
        ("x.wav,baby_cry,0,speech dog", {"dog", "speech"}, set()),
    ],
)
def test_recordings_hold_what_their_words_mean(tmp_path: Path, row: str, labels: set[str], doubtful: set[str]) -> None:
    (tmp_path / "manifest.csv").write_text(f"path,label,is_siren,labels\n{row}\n")
    (recording,) = load_manifest(tmp_path / "manifest.csv")
    assert recording.labels == labels
    assert recording.doubtful == doubtful


def test_tagger_knows_every_class(tagger_file: Path) -> None:
    with (tagger_file.parent / "yamnet_class_map.csv").open(newline="", encoding="utf-8") as stream:
        known = {row["display_name"] for row in csv.DictReader(stream)}
    for words in label_words().values():
        assert set(words.heard_as) <= known
