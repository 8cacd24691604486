"""The household's recordings: sessions, sides, manifests."""

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.contract.recordings import Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_trainer.collecting.audio_store import AudioFolder
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.retraining.own import (
    IMPORTED_NODE,
    lay_out,
    name_sessions,
    split_own,
    usable,
    write_manifest,
)

BEGIN = datetime(2026, 11, 1, 8, tzinfo=UTC)
GAP_S = 120.0


def recording(at_s: float, *, siren: bool = True, source: str = "window", number: int = 0) -> RecordingInfo:
    begin = BEGIN + timedelta(seconds=at_s)
    digest = hashlib.sha256(f"{at_s} {source} {siren} {number}".encode()).hexdigest()
    return RecordingInfo(
        id=f"{begin:%Y%m%dT%H%M%S}000-{digest[:8]}", origin="take", node="attic", source=source, begin=begin,
        duration_s=3.0, rate_hz=16_000, level_dbfs=-30, peak_dbfs=-10, clipped_share=0, sha256=digest, size_bytes=9,
        labelling=Labelling(labels=("siren",) if siren else (), by="command_line", time=begin),
    )  # fmt: skip


def test_recordings_without_a_long_pause_are_one_session() -> None:
    near = [recording(0), recording(5), recording(100), recording(220)]
    assert len(set(name_sessions(near, GAP_S).values())) == 1


def test_a_long_pause_begins_a_session() -> None:
    assert len(set(name_sessions([recording(0), recording(200)], GAP_S).values())) == 2


def test_what_two_microphones_record_at_once_is_one_session() -> None:
    elsewhere = recording(50, source="garden").model_copy(update={"node": "garage"})
    assert len(set(name_sessions([recording(0), elsewhere, recording(150)], GAP_S).values())) == 1


def test_times_of_imported_files_say_nothing() -> None:
    imported = [recording(0, source=f"file-{n}").model_copy(update={"node": IMPORTED_NODE}) for n in range(3)]
    assert len(set(name_sessions([*imported, recording(1)], GAP_S).values())) == 4


@pytest.mark.parametrize("share", [0.2, 0.25, 0.3])
def test_no_moment_of_a_sitting_before_two_microphones_is_on_both_sides(share: float) -> None:
    infos = [recording(5 * n + late, source=name) for n in range(20) for name, late in (("window", 0), ("garden", 0.3))]
    sides = split_own([*infos, recording(9000, siren=False)], share, GAP_S, seed=1)
    held_out, learnt = ({one.begin.replace(microsecond=0) for one in side} for side in (sides.held_out, sides.train))
    assert sides.same_sitting
    assert len(held_out) == 20 * share
    assert not held_out & learnt


def test_little_of_what_is_held_out_was_learnt_from_in_the_round_before() -> None:
    house = [recording(86_400 * n + 40_000 * kind, siren=kind == 0) for n in range(14) for kind in range(2)]
    learnt = held_out = 0
    for seed in range(40):
        before, now = (split_own(infos, 0.25, GAP_S, seed) for infos in (house[:24], house))
        held_out += len(now.held_out)
        learnt += len(set(now.held_out) & set(before.train))
    assert learnt < 0.15 * held_out


def test_split_keeps_about_a_quarter_of_each_kind_back() -> None:
    infos = [recording(1000 * n) for n in range(20)] + [recording(50_000 + 1000 * n, siren=False) for n in range(20)]
    sides = split_own(infos, 0.25, GAP_S, seed=1)
    sirens = [one for one in sides.held_out if one.labelling and one.labelling.labels]
    assert len(sirens) == 5
    assert len(sides.held_out) == 10
    assert sides.notes == ()


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.tuples(st.integers(0, 20_000), st.booleans()), min_size=1, max_size=40, unique=True),
    seed=st.integers(0, 9),
)
def test_no_session_is_on_both_sides_and_nothing_is_lost(times: list[tuple[int, bool]], seed: int) -> None:
    infos = [recording(at_s, siren=siren) for at_s, siren in times]
    sides = split_own(infos, 0.25, GAP_S, seed)
    names = [{sides.session_of[one.sha256] for one in side} for side in (sides.train, sides.held_out)]
    assert not names[0] & names[1]
    assert len(sides.train) + len(sides.held_out) == len(infos)
    assert sides.train
    assert split_own(list(reversed(infos)), 0.25, GAP_S, seed) == sides


def test_of_one_sitting_the_last_takes_are_held_out_and_said_to_flatter() -> None:
    infos = [recording(5 * n) for n in range(20)] + [recording(110 + 5 * n, siren=False) for n in range(20)]
    sides = split_own(infos, 0.25, GAP_S, seed=1)
    assert sides.held_out == (*infos[15:20], *infos[35:])
    assert sides.same_sitting
    assert sides.notes[0] == "all with siren is of one sitting: its last 5 takes are held out, and flatter"
    another_day = [recording(90_000 + 5 * n, siren=n % 2 == 0) for n in range(10)]
    assert not split_own(infos + another_day, 0.25, GAP_S, seed=1).same_sitting


def test_recordings_around_one_event_are_all_trained_on_and_a_note_says_that_nothing_is_held_out() -> None:
    infos = [recording(5 * n).model_copy(update={"origin": "event"}) for n in range(6)]
    sides = split_own([*infos, recording(9000, siren=False)], 0.25, GAP_S, seed=1)
    assert sides.held_out == ()
    assert sides.notes[0] == "nothing with siren is held out: its recordings are of 1 session(s)"


def test_held_out_from_a_time_takes_whole_sessions_that_begin_then_or_later() -> None:
    infos = [recording(0), recording(60), recording(70), recording(5000), recording(9000)]
    sides = split_own(infos, 0.25, GAP_S, 1, held_out_from=BEGIN + timedelta(seconds=65))
    assert [one.begin for one in sides.held_out] == [infos[3].begin, infos[4].begin]


def test_what_says_nothing_about_sirens_is_left_out_and_counted() -> None:
    unlabelled = recording(0).model_copy(update={"labelling": None})
    other = recording(10).model_copy(update={"labelling": Labelling(absent=("glass",), by="http", time=BEGIN)})
    rejected = recording(20).model_copy(update={"labelling": Labelling(absent=("siren",), by="http", time=BEGIN)})
    kept, left = usable([unlabelled, other, rejected, recording(30)])
    assert kept == [rejected, recording(30)]
    assert left == {"not labelled": 1, "not said whether a siren sounds": 1}


def test_manifest_reads_back_with_sessions_as_groups(tmp_path: Path) -> None:
    infos = [recording(0), recording(5000, siren=False)]
    sessions = name_sessions(infos, GAP_S)
    write_manifest(tmp_path / "own.csv", infos, sessions, tmp_path / "audio")
    read = load_manifest(tmp_path / "own.csv")
    assert [one.is_siren for one in read] == [True, False]
    assert [one.group for one in read] == [sessions[one.sha256] for one in infos]
    assert read[0].path == tmp_path / "audio" / f"{infos[0].sha256}.flac"


def test_damaged_audio_is_not_laid_out(tmp_path: Path) -> None:
    info = recording(0)
    place = tmp_path / "store" / info.sha256[:2]
    place.mkdir(parents=True)
    (place / f"{info.sha256}.flac").write_bytes(b"not this!")
    with pytest.raises(OperatorError, match="damaged"):
        lay_out([info], AudioFolder(tmp_path / "store"), tmp_path / "audio")
    assert not list((tmp_path / "audio").glob("*.flac"))
