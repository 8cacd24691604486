"""Labels that a household began: counted, parted, and known to be in a recording or not."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.contract.recordings import RECORDINGS_NEEDED, Labelling, RecordingInfo
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.retraining.new_labels import LabelCount, count_labels, presence
from earshot_trainer.retraining.own import holds, name_sessions, split_own, write_manifest
from earshot_trainer.retraining.settings import MaterialSettings
from earshot_trainer.retraining.synthetic import synthetic_set

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
GAP_S = 120.0


def recording(at_s: float, *labels: str, absent: tuple[str, ...] = ()) -> RecordingInfo:
    begin = BEGIN + timedelta(seconds=at_s)
    digest = hashlib.sha256(f"{at_s} {labels}".encode()).hexdigest()
    return RecordingInfo(
        id=f"{begin:%Y%m%dT%H%M%S}000-{digest[:8]}", origin="take", node="attic", source="window", begin=begin,
        duration_s=3.0, rate_hz=16_000, level_dbfs=-30, peak_dbfs=-10, clipped_share=0, sha256=digest, size_bytes=9,
        labelling=Labelling(labels=labels, absent=absent, by="command_line", time=begin),
    )  # fmt: skip


def counted(infos: list[RecordingInfo]) -> tuple[LabelCount, ...]:
    return count_labels(infos, ("siren",), name_sessions(infos, GAP_S))


def test_label_with_enough_recordings_of_two_sessions_becomes_an_output() -> None:
    bells = [recording(10 * n + 3600 * (n % 2), "doorbell") for n in range(RECORDINGS_NEEDED)]
    (one,) = counted([*bells, recording(9e4, "siren"), recording(9.1e4)])
    assert one == LabelCount("doorbell", RECORDINGS_NEEDED, 2)
    assert one.enough
    assert "becomes an output" in str(one)


def test_how_many_are_missing_is_said() -> None:
    few = [recording(3600 * n, "doorbell", "dog") for n in range(13)]
    dog, doorbell = counted(few)
    assert (dog.label, doorbell.label) == ("dog", "doorbell")
    assert not dog.enough
    assert "7 of 20 recordings are missing" in str(dog)
    assert "another day" not in str(dog)


def test_recordings_of_one_sitting_are_not_enough_however_many() -> None:
    (one,) = counted([recording(5 * n, "doorbell") for n in range(40)])
    assert not one.enough
    assert str(one) == (
        "doorbell: 40 recordings of 1 session(s); no output yet: some on another day are missing, to be held out"
    )


def test_label_that_the_base_hears_is_not_counted() -> None:
    assert counted([recording(1000 * n, "siren") for n in range(30)]) == ()


def test_some_of_an_added_label_are_on_either_side_though_its_sessions_are_few() -> None:
    infos = [recording(3600 * (n // 10) + 10 * n, "doorbell") for n in range(20)]
    infos += [recording(9e4 + 1000 * n, "siren") for n in range(8)]
    for seed in range(20):
        sides = split_own(infos, 0.25, GAP_S, seed, added=("doorbell",))
        assert [sum(holds(one, "doorbell") for one in side) for side in (sides.train, sides.held_out)] == [10, 10]
        assert sum(holds(one, "siren") for one in sides.held_out) == 2


def test_background_is_held_out_beside_an_added_label() -> None:
    infos = [recording(3600 * (n // 10) + 10 * n, "doorbell") for n in range(20)]
    infos += [recording(9e4 + 1000 * n) for n in range(8)]
    for seed in range(20):
        sides = split_own(infos, 0.25, GAP_S, seed, added=("doorbell",))
        assert sum(not holds(one, "doorbell") for one in sides.held_out) == 2


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(
        st.tuples(st.integers(0, 9_000), st.sampled_from([(), ("siren",), ("dog",), ("siren", "dog")])),
        min_size=1, max_size=40, unique_by=lambda one: one[0],
    ),
    seed=st.integers(0, 9),
)  # fmt: skip
def test_no_kind_of_several_sessions_is_held_out_whole(times: list[tuple[int, tuple[str, ...]]], seed: int) -> None:
    infos = [recording(at_s, *labels) for at_s, labels in times]
    sides = split_own(infos, 0.25, GAP_S, seed, added=("dog",))
    for label in ("siren", "dog"):
        sessions = {sides.session_of[one.sha256] for one in infos if holds(one, label)}
        if len(sessions) > 1:
            assert any(holds(one, label) for one in sides.train)


def read_back(folder: Path, *infos: RecordingInfo) -> list[Recording]:
    write_manifest(folder / "own.csv", infos, name_sessions(infos, GAP_S), folder)
    return load_manifest(folder / "own.csv")


def test_own_recording_that_was_labelled_is_without_what_it_was_not_labelled_with(tmp_path: Path) -> None:
    bell, dog, background = read_back(tmp_path, recording(0, "doorbell"), recording(1, "dog_bark"), recording(2))
    assert [presence(one, "doorbell") for one in (bell, dog, background)] == ["holds", "without", "without"]
    assert presence(dog, "dog") == "without"


def test_not_a_siren_says_nothing_of_other_labels(tmp_path: Path) -> None:
    (one,) = read_back(tmp_path, recording(0, absent=("siren", "horn")))
    assert [presence(one, label) for label in ("siren", "horn", "doorbell")] == ["without", "without", "unknown"]


@pytest.mark.parametrize(("label", "expected"), [("doorbell", "without"), ("cat", "unknown"), ("siren", "holds")])
def test_other_recording_is_taken_to_be_without_what_no_word_of_it_names(
    tmp_path: Path, label: str, expected: str
) -> None:
    (tmp_path / "manifest.csv").write_text("path,label,is_siren,licence\nx.wav,cat_meow,1,CC0\n")
    (one,) = load_manifest(tmp_path / "manifest.csv")
    assert presence(one, label) == expected


def test_synthesized_street_names_what_sounds_in_it(tmp_path: Path) -> None:
    rows = synthetic_set("test", MaterialSettings(scenes=2, scene_minutes=3), 1, tmp_path)
    streets = [one for one in rows if one.kind == "long"]
    assert len(streets) == 3
    for one in streets:
        trap = one.note.split()[0]
        assert presence(one, trap) == "unknown"
        assert presence(one, "nothing_like_it") == "without"
