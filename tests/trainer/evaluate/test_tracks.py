"""Tracks by label: a recording counts for the labels of which it is known whether they are in it."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
from support.tracks import HOP_S, make_track

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Heard, Subject
from earshot_trainer.evaluate.tracks import score_recordings


class TwoLabels:
    """Says .2 of sirens and .6 of dogs, always."""

    labels = ("siren", "dog")
    hop_s = HOP_S

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        assert jobs == 1
        for _ in paths:
            yield Heard(1.0, np.tile(np.array([0.2, 0.6], np.float32), (25, 1)), "")


def recording(label: str, labels: set[str], doubtful: set[str]) -> Recording:
    return replace(make_track(label, [0.0]).recording, labels=frozenset(labels), doubtful=frozenset(doubtful))


def test_doubtful_recordings_count_for_other_labels_alone() -> None:
    recordings = [
        recording("siren", {"siren"}, set()),
        recording("dog_bark", {"dog"}, {"speech"}),
        recording("children_playing", set(), {"dog", "speech"}),
    ]
    scored = score_recordings(cast("Subject", TwoLabels()), recordings, 1)
    assert scored.recordings == recordings
    assert [track.recording.label for track in scored.by_label["dog"]] == ["siren", "dog_bark"]
    assert [track.is_positive("dog") for track in scored.by_label["dog"]] == [False, True]
    assert {track.score for track in scored.by_label["siren"]} == {np.float32(0.2)}
    assert {track.score for track in scored.by_label["dog"]} == {np.float32(0.6)}
