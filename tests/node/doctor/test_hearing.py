"""Doctor listens to live sources."""

import math
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.alsa import VirtualAlsa

from earshot_node.contract.config import FileSource, MicrophoneSource, UrlSource
from earshot_node.doctor.finding import fail
from earshot_node.doctor.hearing import check_hearing, listen


def url_source(path: Path) -> UrlSource:
    return UrlSource.model_validate({"type": "url", "id": "cam", "url": str(path), "ffmpeg_args": ["-re"]})


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    path = tmp_path / "tone.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(4 * 48_000) * 2 * math.pi * 440 / 48_000), 48_000)
    return path


@pytest.mark.ffmpeg
def test_stream_that_delivers_is_ok_with_its_level(tone: Path) -> None:
    finding = listen(url_source(tone))
    assert (finding.check, finding.outcome, finding.what) == ("hearing cam", "ok", "delivers audio, -23 dBFS")


@pytest.mark.ffmpeg
def test_stream_that_is_away_fails_with_ffmpegs_reason(tmp_path: Path) -> None:
    finding = listen(url_source(tmp_path / "absent.wav"))
    assert finding.outcome == "fail"
    assert "No such file" in finding.what


@pytest.mark.portaudio
def test_muted_microphone_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    VirtualAlsa(tmp_path).add("muted", np.zeros(96_000, np.int16))
    monkeypatch.setenv("HOME", str(tmp_path))
    finding = listen(MicrophoneSource(type="microphone", id="hall", device="alsa:muted"))
    assert (finding.outcome, finding.what) == ("warn", "delivers digital silence")


def test_source_that_already_failed_and_files_are_not_opened() -> None:
    sources = [
        MicrophoneSource(type="microphone", id="hall", device="usb-none"),
        FileSource(type="file", id="file", path="absent.wav"),
    ]
    assert list(check_hearing(sources, [fail("source hall", "absent", "plug it in")])) == []
    assert list(check_hearing(sources, [fail("PyAudio", "missing", "install it")])) == []
    assert list(check_hearing(sources, [], node_runs=True)) == []
