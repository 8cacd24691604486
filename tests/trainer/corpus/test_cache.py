import hashlib
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, decode_blocks
from earshot_trainer.corpus.recordings import load_manifest


def write_tone(path: Path, rate_hz: int, channels: int, seconds: float = 1.0, hz: float = 440.0) -> None:
    time_s = np.arange(int(rate_hz * seconds)) / rate_hz
    tone = 0.5 * np.sin(2 * np.pi * hz * time_s)
    sf.write(path, np.repeat(tone[:, None], channels, axis=1), rate_hz, subtype="PCM_16")


def write_manifest(folder: Path, *names: str) -> Path:
    path = folder / "manifest.csv"
    path.write_text("path,label\n" + "".join(f"{name},dog\n" for name in names))
    return path


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (44_100, 2), (8_000, 1), (48_000, 6)])
def test_any_rate_and_channel_count_becomes_16_khz_mono(tmp_path: Path, rate_hz: int, channels: int) -> None:
    write_tone(tmp_path / "x.wav", rate_hz, channels)
    samples = np.concatenate(list(decode_blocks(tmp_path / "x.wav")))
    assert samples.dtype == np.int16
    assert abs(len(samples) - 16_000) <= 1
    spectrum = np.abs(np.fft.rfft(samples[:16_000].astype(float), n=16_000))
    assert int(spectrum.argmax()) == 440


def test_nobody_else_reads_what_was_decoded(tmp_path: Path) -> None:
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "samples.i16").touch(0o644)
    for name in ("new", "old"):
        PcmCache(tmp_path / name)
        assert {path.stat().st_mode & 0o777 for path in (tmp_path / name).iterdir()} == {0o600}
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700


def test_second_add_decodes_nothing_and_gives_the_same_samples(tmp_path: Path) -> None:
    write_tone(tmp_path / "x.wav", 16_000, 1)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav"))
    cache = PcmCache(tmp_path / "cache")
    assert cache.add(recordings) == 1
    again = PcmCache(tmp_path / "cache")
    assert again.add(recordings) == 0
    assert np.array_equal(cache.samples(recordings[0]), again.samples(recordings[0]))


def test_moved_and_copied_corpus_is_not_decoded_again(tmp_path: Path) -> None:
    write_tone(tmp_path / "x.wav", 16_000, 1)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav"))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / "y.wav").write_bytes((tmp_path / "x.wav").read_bytes())
    copied = load_manifest(write_manifest(tmp_path / "copy", "y.wav"))
    again = PcmCache(tmp_path / "cache")
    assert again.add(copied) == 0
    assert np.array_equal(cache.samples(recordings[0]), again.samples(copied[0]))


def test_content_is_hashed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tone(tmp_path / "x.wav", 16_000, 1)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav"))
    key = PcmCache(tmp_path / "cache").key(recordings[0])
    (tmp_path / "cache" / "files.jsonl").open("a").write('["cut by a ki')
    monkeypatch.setattr(hashlib, "file_digest", None)
    assert PcmCache(tmp_path / "cache").key(recordings[0]) == key


def test_changed_file_is_decoded_again(tmp_path: Path) -> None:
    write_tone(tmp_path / "x.wav", 16_000, 1)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav"))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    write_tone(tmp_path / "x.wav", 16_000, 1, seconds=2.0)
    assert cache.add(recordings) == 1
    assert len(cache.samples(recordings[0])) == 32_000


def test_index_line_cut_by_a_kill_is_decoded_again(tmp_path: Path) -> None:
    for name, hz in (("x.wav", 440.0), ("y.wav", 660.0)):
        write_tone(tmp_path / name, 16_000, 1, hz=hz)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav", "y.wav"))
    PcmCache(tmp_path / "cache").add(recordings)
    index = tmp_path / "cache" / "index.jsonl"
    index.write_text(index.read_text()[:-20])
    cache = PcmCache(tmp_path / "cache")
    assert cache.add(recordings) == 1
    for recording in recordings:
        assert np.array_equal(cache.samples(recording), np.concatenate(list(decode_blocks(recording.path))))


def test_samples_cut_by_a_kill_do_not_count(tmp_path: Path) -> None:
    write_tone(tmp_path / "x.wav", 16_000, 1)
    recordings = load_manifest(write_manifest(tmp_path, "x.wav"))
    PcmCache(tmp_path / "cache").add(recordings)
    data = tmp_path / "cache" / "samples.i16"
    data.write_bytes(data.read_bytes()[:1001])
    cache = PcmCache(tmp_path / "cache")
    assert cache.add(recordings) == 1
    expected = np.concatenate(list(decode_blocks(tmp_path / "x.wav")))
    assert np.array_equal(cache.samples(recordings[0]), expected)


def test_unreadable_audio_is_named(tmp_path: Path) -> None:
    (tmp_path / "noise.wav").write_bytes(b"no audio at all")
    recordings = load_manifest(write_manifest(tmp_path, "noise.wav"))
    with pytest.raises(OperatorError, match=r"cannot decode .*noise\.wav"):
        PcmCache(tmp_path / "cache").add(recordings)


def test_missing_audio_is_named(tmp_path: Path) -> None:
    recordings = load_manifest(write_manifest(tmp_path, "gone.wav"))
    with pytest.raises(OperatorError, match=r"cannot read .*gone\.wav"):
        PcmCache(tmp_path / "cache").add(recordings)


def test_empty_audio_is_an_error(tmp_path: Path) -> None:
    sf.write(tmp_path / "empty.wav", np.zeros(0), 16_000)
    recordings = load_manifest(write_manifest(tmp_path, "empty.wav"))
    with pytest.raises(OperatorError, match="holds no audio"):
        PcmCache(tmp_path / "cache").add(recordings)
