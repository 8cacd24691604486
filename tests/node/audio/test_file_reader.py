from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.errors import AudioFileError

FORMATS = {"a.wav": None, "a.flac": None, "a.ogg": "VORBIS", "a.mp3": None, "a.opus": "OPUS"}


def tone(seconds: float, rate_hz: int, channels: int = 1) -> np.ndarray:
    wave = 0.5 * np.sin(2 * np.pi * 700 * np.arange(int(seconds * rate_hz)) / rate_hz)
    return np.repeat(wave[:, None], channels, axis=1).astype(np.float32)


def read(path: Path) -> np.ndarray:
    chunks = list(read_audio_file(path))
    assert all(chunk.dtype == np.float32 and chunk.ndim == 1 and len(chunk) for chunk in chunks)
    return np.concatenate(chunks)


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_tone_that_was_written(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    container = "OGG" if name.endswith(".opus") else None
    soundfile.write(path, tone(3, 48000, 2), 48000, format=container, subtype=FORMATS[name])
    samples = read(path)
    spectrum = np.abs(np.fft.rfft(samples[8000:24000]))
    assert np.argmax(spectrum) == 700
    assert np.sqrt(np.mean(samples[8000:24000] ** 2)) == pytest.approx(0.5 / np.sqrt(2), rel=0.05)


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100, 48000, 96000])
@pytest.mark.parametrize("frames", [1, 1000, 44101, 100_003])
def test_length_is_exact_within_a_sample(rate_hz: int, frames: int, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.full(frames, 0.1, np.float32), rate_hz)
    length = sum(len(chunk) for chunk in read_audio_file(path))
    assert abs(length - round(frames * SAMPLE_RATE_HZ / rate_hz)) <= 1


def test_channels_are_averaged(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    stereo = np.stack([np.full(8000, 0.5), np.full(8000, -0.25)], axis=1)
    soundfile.write(path, stereo, 16000, subtype="FLOAT")
    np.testing.assert_allclose(read(path), 0.125)


def test_values_that_are_not_finite_become_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    samples = np.full(1000, 0.1, np.float32)
    samples[[3, 4, 5]] = np.nan, np.inf, -np.inf
    soundfile.write(path, samples, 16000, subtype="FLOAT")
    assert np.array_equal(read(path)[2:7], np.array([0.1, 0, 0, 0, 0.1], np.float32))


def write_nothing(path: Path) -> None:
    path.write_bytes(b"")


def write_text(path: Path) -> None:
    path.write_text("this is no audio\n" * 100)


def write_header_only(path: Path) -> None:
    soundfile.write(path, np.empty(0, np.float32), 16000)


def write_folder(path: Path) -> None:
    path.mkdir()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (write_nothing, "is empty"),
        (write_text, "cannot be decoded"),
        (write_header_only, "holds no audio"),
        (write_folder, "is a folder"),
        (lambda path: None, "No such file"),
    ],
)
def test_unreadable_file_is_named_in_one_line(make: object, said: str, tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    make(path)
    with pytest.raises(AudioFileError, match=said) as raised:
        list(read_audio_file(path))
    assert raised.value.path == str(path)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_absurd_sample_rate_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, np.zeros(100, np.float32), 10)
    with pytest.raises(AudioFileError, match="10 Hz is not supported"):
        list(read_audio_file(path))


def test_truncated_wav_gives_what_is_there(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(2, 16000), 16000)
    path.write_bytes(path.read_bytes()[: 44 + 32000])
    assert len(read(path)) == 16000


@pytest.mark.audio_data
def test_real_recordings_have_the_length_their_headers_say(audio_data: Path) -> None:
    paths = sorted((audio_data / "urban").rglob("*.opus"))[:6]
    seen = 0
    for path in paths:
        info = soundfile.info(path)
        length = sum(len(chunk) for chunk in read_audio_file(path))
        assert abs(length - round(info.frames * SAMPLE_RATE_HZ / info.samplerate)) <= 1
        seen += 1
    assert seen == 6
