"""Recordings on the disk: whole or absent, within their limits, and never lost before they are collected."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from earshot_node import atomic_file
from earshot_node.audio.flac import decode_flac
from earshot_node.contract.config import FileSource, RecordingsSection
from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_node.recordings.draft import Draft, draft_from_samples
from earshot_node.recordings.errors import ConflictError, NoRoomError, UnknownRecordingError
from earshot_node.recordings.store import RecordingStore

BEGIN = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)
SOURCE = FileSource(type="file", id="street", path="x.wav", gain_db=6)
SIREN = Labelling(labels=("siren",), by="command_line", time=BEGIN)
UNCERTAIN = Candidate(reason="uncertain", label="siren", posterior=0.4, model="2026.11.0")
SIZE = 40_000  # a second of noise, in FLAC and with its JSON, is somewhat below


def draft(number: int) -> Draft:
    pcm = np.random.default_rng(number).integers(-20000, 20000, 16000).astype(np.int16)
    return draft_from_samples(pcm, BEGIN + timedelta(minutes=number), "hall", SOURCE)


def opened(folder: Path, quota: int = 10_000_000, **limits: float) -> RecordingStore:
    return RecordingStore(folder, RecordingsSection(**{"quota_mb": quota / 1e6, "free_floor_mb": 0, **limits}))


def minutes(store: RecordingStore) -> list[int]:
    return [round((entry.info.begin - BEGIN).total_seconds() / 60) for entry in store.entries()]


def test_recording_is_flac_with_json_that_describes_it(tmp_path: Path) -> None:
    store = opened(tmp_path / "recordings")
    info = store.add(draft(1), SIREN)
    audio = store.audio_path(info.id).read_bytes()
    samples, rate_hz = decode_flac(audio)
    assert (rate_hz, len(samples)) == (16000, 16000)
    assert info.sha256 == hashlib.sha256(audio).hexdigest()
    assert (info.size_bytes, info.duration_s, info.gain_db) == (len(audio), 1.0, 6)
    assert (info.node, info.source, info.source_type, info.origin) == ("hall", "street", "file", "take")
    assert info.begin == BEGIN + timedelta(minutes=1)
    assert info.level_dbfs == pytest.approx(-9.0, abs=0.2)
    assert RecordingInfo.decode((tmp_path / "recordings" / f"{info.id}.json").read_bytes()) == info
    assert opened(tmp_path / "recordings").get(info.id).info == info


def test_only_its_owner_can_look_into_the_folder(tmp_path: Path) -> None:
    store = opened(tmp_path / "recordings")
    store.add(draft(1), SIREN)
    assert store.folder.stat().st_mode & 0o077 == 0


def test_labelled_recordings_are_never_deleted_to_make_room_and_the_refusal_says_why(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=2 * SIZE)
    store.add(draft(1), SIREN)
    store.add(draft(2), Labelling(by="home_assistant", time=BEGIN))
    with pytest.raises(NoRoomError, match=r"quota of 0.08 MB is full, 2 recordings wait .* raise recordings.quota_mb"):
        store.add(draft(3), SIREN)
    assert minutes(store) == [1, 2]
    assert "quota" in store.refusal()


def test_collected_go_first_then_candidates_each_the_oldest_first(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=135_000)
    store.add(draft(1), None, UNCERTAIN)
    store.add(draft(2), None, UNCERTAIN)
    store.add(draft(3), SIREN)
    collected = store.add(draft(4), SIREN)
    store.acknowledge(collected.id, collected.sha256, 1)
    for number, left in ((5, [1, 2, 3, 5]), (6, [2, 3, 5, 6]), (7, [3, 5, 6, 7])):
        store.add(draft(number), SIREN)
        assert minutes(store) == left
    with pytest.raises(NoRoomError):
        store.add(draft(8), SIREN)


def test_candidate_takes_the_place_of_the_oldest_candidate_only(tmp_path: Path) -> None:
    store = opened(tmp_path, quota=3 * SIZE)
    collected = store.add(draft(1), SIREN)
    store.acknowledge(collected.id, collected.sha256, 1)
    store.add(draft(2), None, UNCERTAIN)
    store.add(draft(3), SIREN)
    store.add(draft(4), None, UNCERTAIN)
    assert minutes(store) == [1, 3, 4]


def test_nothing_is_recorded_below_the_floor_of_free_space(tmp_path: Path) -> None:
    store = opened(tmp_path, free_floor_mb=1e12)
    with pytest.raises(NoRoomError, match=r"MB free .* are kept free; .* lower recordings.free_floor_mb"):
        store.add(draft(1), SIREN)
    assert list(tmp_path.glob("*.flac*")) == []


def test_new_labelling_is_a_new_revision_that_waits_again(tmp_path: Path) -> None:
    store = opened(tmp_path)
    before = store.add(draft(1), SIREN)
    store.acknowledge(before.id, before.sha256, 1)
    assert not store.get(before.id).is_waiting
    after = store.label(before.id, Labelling(absent=("siren",), by="home_assistant", time=BEGIN))
    assert (after.revision, after.sha256) == (2, before.sha256)
    assert opened(tmp_path).get(before.id).is_waiting
    with pytest.raises(ConflictError, match="revision 1 was collected, 2 is here"):
        store.acknowledge(before.id, before.sha256, 1)


def test_acknowledgement_of_other_audio_is_refused(tmp_path: Path) -> None:
    store = opened(tmp_path)
    info = store.add(draft(1), SIREN)
    with pytest.raises(ConflictError, match="sha256"):
        store.acknowledge(info.id, "0" * 64, 1)
    assert store.get(info.id).is_waiting


def test_collected_recording_goes_when_its_retention_is_over_and_no_other(tmp_path: Path) -> None:
    later = datetime.now(UTC) + timedelta(days=7, minutes=1)
    store = RecordingStore(tmp_path, RecordingsSection(free_floor_mb=0), clock=lambda: later)
    waiting, gone, fresh = (store.add(draft(number), SIREN) for number in range(3))
    until = store.acknowledge(gone.id, gone.sha256, 1)
    assert abs(until - datetime.now(UTC) - timedelta(days=7)) < timedelta(minutes=1)
    store.acknowledge(fresh.id, fresh.sha256, 1)
    os.utime(tmp_path / f"{fresh.id}.collected", (later.timestamp(), later.timestamp()))
    assert store.expire() == 1
    assert [entry.info.id for entry in store.entries()] == [waiting.id, fresh.id]
    assert len(list(tmp_path.glob(f"{gone.id}*"))) == 0


@pytest.mark.parametrize(
    "recording_id",
    [
        "",
        "..",
        "../secret",
        "%2e%2e/secret",
        "20261122T083000000-0000000g",
        "20261122T083000000-00000000",
        ".lock",
        "*",
    ],
)
def test_what_is_not_there_is_not_found_whatever_its_name(tmp_path: Path, recording_id: str) -> None:
    (tmp_path / "secret.json").write_text("{}")
    (tmp_path / "secret.flac").write_text("{}")
    store = opened(tmp_path / "recordings")
    store.add(draft(1), SIREN)
    for ask in (store.get, store.audio_path):
        with pytest.raises(UnknownRecordingError):
            ask(recording_id)


def test_files_that_are_no_recordings_are_passed_over(tmp_path: Path) -> None:
    store = opened(tmp_path)
    info = store.add(draft(1), SIREN)
    (tmp_path / "notes.json").write_text("{}")
    (tmp_path / "20261122T083000000-00000000.json").write_bytes((tmp_path / f"{info.id}.json").read_bytes())
    assert [entry.info.id for entry in store.entries()] == [info.id]


class PowerCut(BaseException):
    """The machine is off: nothing runs any more, no clean-up either."""


def cut_at(step: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Let the power go at the `step`th call that changes the disk; return a function that tells how many there were."""
    calls = 0

    def cut(original: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **kwargs: object) -> object:
            nonlocal calls
            calls += 1
            if calls == step:
                raise PowerCut
            return original(*args, **kwargs)

        return call

    monkeypatch.setattr(os, "fsync", cut(os.fsync))
    monkeypatch.setattr(Path, "replace", cut(Path.replace))
    monkeypatch.setattr(Path, "unlink", cut(Path.unlink))
    return lambda: calls


def whole(folder: Path) -> list[str]:
    """Return the ids of what is there after the next start, having checked that every file of it is whole."""
    store = opened(folder)
    store.expire()
    found = [entry.info for entry in store.entries()]
    for info in found:
        assert hashlib.sha256(store.audio_path(info.id).read_bytes()).hexdigest() == info.sha256
    named = {path.stem for path in folder.iterdir() if path.name != ".lock"}
    assert named == {info.id for info in found}
    return [info.id for info in found]


@pytest.mark.parametrize("step", range(1, 7))
def test_power_cut_while_recording_leaves_it_whole_or_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    store = opened(tmp_path)
    before = store.add(draft(1), SIREN).id
    with monkeypatch.context() as patched:
        cut_at(step, patched)
        with pytest.raises(PowerCut):
            store.add(draft(2), SIREN)
    assert before in whole(tmp_path)
    assert len(whole(tmp_path)) == (2 if step == 6 else 1)


def test_all_steps_of_recording_were_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)
    count = cut_at(0, monkeypatch)
    store.add(draft(1), SIREN)
    assert count() == 6


@pytest.mark.parametrize("step", range(1, 5))
def test_power_cut_while_labelling_keeps_one_labelling_or_the_other_and_it_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    store = opened(tmp_path)
    info = store.add(draft(1), SIREN)
    store.acknowledge(info.id, info.sha256, 1)
    with monkeypatch.context() as patched:
        cut_at(step, patched)
        with pytest.raises(PowerCut):
            store.label(info.id, Labelling(by="http", time=BEGIN))
    assert whole(tmp_path) == [info.id]
    entry = opened(tmp_path).get(info.id)
    assert entry.info.labelling in (SIREN, Labelling(by="http", time=BEGIN))
    assert entry.is_waiting or entry.info.labelling == SIREN


@pytest.mark.parametrize("step", range(1, 4))
def test_power_cut_while_deleting_leaves_nothing_half(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    later = datetime.now(UTC) + timedelta(days=8)
    store = RecordingStore(tmp_path, RecordingsSection(free_floor_mb=0), clock=lambda: later)
    info = store.add(draft(1), SIREN)
    store.acknowledge(info.id, info.sha256, 1)
    with monkeypatch.context() as patched:
        cut_at(step, patched)
        with pytest.raises(PowerCut):
            store.expire()
    assert whole(tmp_path) in ([], [info.id])


def test_refused_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = opened(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_file.os, "fsync", full)
    with pytest.raises(Exception, match="No space left on device"):
        store.add(draft(1), SIREN)
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_folder_that_cannot_be_made_stops_nobody_from_starting_and_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = opened(tmp_path / "file" / "recordings")
    assert store.entries() == []
    assert store.expire() == 0
    with pytest.raises(OperatorError, match=r"recordings: .*(Not a directory|set recordings.dir)"):
        store.add(draft(1), SIREN)
