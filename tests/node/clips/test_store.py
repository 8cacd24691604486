"""Clips in memory and on disk keep to their limits."""

import io
import json
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_node.clips.clip import Clip, encode_clip
from earshot_node.clips.store import DiskClips, RamClips, open_clip_store
from earshot_node.contract.config import ClipsSection
from earshot_node.contract.messages import EventMessage

BEGIN = datetime(2026, 11, 22, 8, 30, tzinfo=UTC)


def clip(number: int, seconds: float = 1.0, label: str = "siren") -> Clip:
    """A clip of noise, which FLAC cannot make small."""
    onset = BEGIN + timedelta(minutes=number, seconds=0.25)
    event = EventMessage(
        id=f"{number:08x}" * 4,
        phase="offset",
        event_type=label,
        node="hall",
        source="mic",
        source_name="Hall",
        onset=onset,
        offset=onset + timedelta(seconds=0.5),
        duration_s=0.5,
        peak=0.9,
        confidence=90,
        level_dbfs=-20.0,
        model="2026.11.0",
    )
    pcm = np.random.default_rng(number).integers(-20000, 20000, round(16000 * seconds)).astype(np.int16)
    return encode_clip(pcm, BEGIN + timedelta(minutes=number), event)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_disk_clip_is_flac_with_json_that_places_the_event(tmp_path: Path) -> None:
    written = DiskClips(tmp_path, 10, 0).write(clip(1))
    assert written is not None
    assert names(tmp_path) == ["20261122T083100-mic-siren-00000001.flac", "20261122T083100-mic-siren-00000001.json"]
    audio, rate_hz = soundfile.read(written, dtype="int16")
    assert (rate_hz, len(audio)) == (16000, 16000)
    info = json.loads(written.with_suffix(".json").read_text())
    assert (info["onset_s"], info["offset_s"], info["duration_s"]) == (0.25, 0.75, 1.0)
    assert info["event"]["id"] == "00000001" * 4
    assert info["schema"] == 1


def test_oldest_clips_go_first_when_the_quota_is_full(tmp_path: Path) -> None:
    size_mb = (len(clip(1).flac) + 1000) / 1e6
    store = DiskClips(tmp_path, 2.5 * size_mb, 0)
    for number in range(1, 5):
        store.add(clip(number))
    assert [name[-13:-5] for name in names(tmp_path) if name.endswith("flac")] == ["00000003", "00000004"]
    assert len(names(tmp_path)) == 4


def test_what_is_heard_all_day_does_not_push_out_what_is_rare(tmp_path: Path) -> None:
    size_mb = (len(clip(1).flac) + 1000) / 1e6
    disk, ram = DiskClips(tmp_path, 4.5 * size_mb, 0), RamClips(4)
    heard = ["siren", "speech", "dog", *["speech"] * 6, "siren"]
    for number, label in enumerate(heard):
        for store in (disk, ram):
            store.add(clip(number, label=label))
    for store in (disk, ram):
        kept = [label for number, label in enumerate(heard) if store.find(f"{number:08x}" * 4) is not None]
        assert kept == ["siren", "dog", "speech", "siren"]
        assert store.latest_event("mic", "speech") == f"{8:08x}" * 4


@pytest.mark.parametrize("picture_first", [True, False])
def test_picture_lies_beside_its_clip_and_goes_with_it(tmp_path: Path, *, picture_first: bool) -> None:
    store = DiskClips(tmp_path, quota_mb=1, free_floor_mb=0)
    one = clip(1)
    for action in (lambda: store.add_picture(one.info.event, b"png"), lambda: store.add(one))[
        :: 1 if picture_first else -1
    ]:
        action()
    assert (tmp_path / f"{one.name}.png").read_bytes() == b"png"
    store = DiskClips(tmp_path, quota_mb=0.000001, free_floor_mb=0)
    store.add(clip(2))
    assert names(tmp_path) == []


def test_picture_without_a_clip_is_not_written(tmp_path: Path) -> None:
    store = DiskClips(tmp_path, quota_mb=1, free_floor_mb=0)
    for number in range(50):
        store.add_picture(clip(number).info.event, b"png")
    store.add(clip(60))
    assert not list(tmp_path.glob("*.png"))


def test_nothing_is_written_below_the_free_space_floor_and_it_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = DiskClips(tmp_path, 10, free_floor_mb=1e12)
    with caplog.at_level(logging.WARNING):
        assert store.write(clip(1)) is None
        assert store.write(clip(2)) is None
    assert names(tmp_path) == []
    assert len(caplog.records) == 1


def test_what_a_power_cut_left_half_written_goes_at_the_next_start(tmp_path: Path) -> None:
    (tmp_path / "20261122T083100-mic-siren-00000001.flac.tmp").write_bytes(b"half")
    DiskClips(tmp_path, 10, 0)
    assert names(tmp_path) == []


def test_ram_store_keeps_the_last_clips_and_finds_them_by_their_event() -> None:
    store = RamClips(2)
    for number in range(1, 4):
        store.add(clip(number))
    assert store.find("00000001" * 4) is None
    assert store.find("00000003" * 4) == clip(3)
    assert store.latest_event("mic", "siren") == "00000003" * 4
    assert store.latest_event("mic", "dog") is None


def test_disk_store_finds_a_clip_by_its_event_after_a_restart(tmp_path: Path) -> None:
    for number in (1, 3, 2):
        DiskClips(tmp_path, 10, 0).add(clip(number))
    store = DiskClips(tmp_path, 10, 0)
    found = store.find("00000002" * 4)
    assert found is not None
    assert found.info == clip(2).info
    assert soundfile.info(io.BytesIO(found.flac)).duration == 1.0
    assert store.latest_event("mic", "siren") == "00000003" * 4
    assert store.latest_event("mic", "dog") is None


@pytest.mark.parametrize("event_id", ["", "*", "????????", "../../etc/passwd", "[0]000000", "00000009" * 4, "0" * 100])
def test_no_clip_is_found_by_an_id_that_no_event_has(tmp_path: Path, event_id: str) -> None:
    store = DiskClips(tmp_path, 10, 0)
    store.add(clip(1))
    assert store.find(event_id) is None


def test_store_is_what_the_configuration_asks_for(tmp_path: Path) -> None:
    assert open_clip_store(ClipsSection(store="off"), tmp_path) is None
    assert isinstance(open_clip_store(ClipsSection(), tmp_path), RamClips)
    assert isinstance(open_clip_store(ClipsSection(store="disk"), tmp_path), DiskClips)
