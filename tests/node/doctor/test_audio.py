"""Doctor: microphones, sound devices, ffmpeg and files, on machines built in a folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.sound_tree import SoundTree

from earshot_node.audio.alsa_cards import capture_pcms
from earshot_node.contract.config import FileSource, MicrophoneSource, StdinSource, UrlSource
from earshot_node.doctor.audio import (
    check_ffmpeg,
    check_file,
    check_microphone,
    check_pyaudio,
    check_sound_access,
    check_sources,
)

CAMERA = "usb-046d_0825-0000:01:00.0-1.2"


@pytest.fixture
def machine(tmp_path: Path) -> SoundTree:
    tree = SoundTree(tmp_path)
    tree.add_usb(1)
    return tree


def microphone(device: str) -> MicrophoneSource:
    return MicrophoneSource(type="microphone", id="hall", device=device)


def add_node(machine: SoundTree, mode: int) -> None:
    folder = machine.roots.dev / "snd"
    folder.mkdir()
    (folder / "pcmC1D0c").touch(mode)


def test_free_microphone_is_ok(machine: SoundTree) -> None:
    finding = check_microphone(microphone(CAMERA), capture_pcms(machine.roots), machine.roots)
    assert finding.outcome == "ok"
    assert "C270 HD WEBCAM is there and free" in finding.what


def test_absent_microphone_fails_and_those_present_are_named(machine: SoundTree) -> None:
    finding = check_microphone(microphone("usb-1111_2222-x-1"), capture_pcms(machine.roots), machine.roots)
    assert finding.outcome == "fail"
    assert finding.fix.endswith(f"those present: {CAMERA}")


def test_process_that_holds_the_microphone_is_named(machine: SoundTree) -> None:
    machine.open_by(1, 4711, "pulseaudio")
    finding = check_microphone(microphone(CAMERA), capture_pcms(machine.roots), machine.roots)
    assert finding.outcome == "fail"
    assert "held by process 4711 (pulseaudio)" in finding.what
    assert "stop pulseaudio" in finding.fix


def test_microphone_of_a_running_node_is_ok(machine: SoundTree) -> None:
    machine.open_by(1, 4711, "python3")
    (machine.roots.proc / "4711" / "cmdline").write_bytes(b"python3\0-m\0earshot_node.audio.microphone_child\0")
    finding = check_microphone(microphone(CAMERA), capture_pcms(machine.roots), machine.roots)
    assert finding.outcome == "ok"
    assert "in use by a running node" in finding.what


def test_named_devices_are_the_systems_choice(machine: SoundTree) -> None:
    for device in ("default", "alsa:usbmic"):
        assert check_microphone(microphone(device), [], machine.roots).outcome == "ok"


def test_machine_without_capture_devices_gets_a_warning(machine: SoundTree) -> None:
    (finding,) = check_sound_access(machine.roots)
    assert finding.outcome == "warn"
    assert "--device /dev/snd" in finding.fix


def test_sound_devices_that_may_be_opened_are_ok(machine: SoundTree) -> None:
    add_node(machine, 0o660)
    (finding,) = check_sound_access(machine.roots)
    assert (finding.outcome, finding.what) == ("ok", "1 capture device, may be opened")


def test_forbidden_sound_devices_fail_with_the_group_to_join(
    machine: SoundTree, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_node(machine, 0o660)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may always
    (finding,) = check_sound_access(machine.roots)
    assert finding.outcome == "fail"
    assert "may not open pcmC1D0c" in finding.what
    assert "usermod -aG audio" in finding.fix


def test_missing_pyaudio_fails_with_the_packages_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("earshot_node.doctor.audio.find_spec", lambda _: None)
    finding = check_pyaudio()
    assert finding.outcome == "fail"
    assert "portaudio19-dev" in finding.fix


@pytest.mark.ffmpeg
def test_ffmpeg_tells_its_version() -> None:
    finding = check_ffmpeg()
    assert finding.outcome == "ok"
    assert finding.what.startswith("ffmpeg version")


def test_missing_and_broken_ffmpeg_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "not installed" in check_ffmpeg().what
    broken = tmp_path / "ffmpeg"
    broken.write_text("#!/bin/sh\nexit 1\n")
    broken.chmod(0o755)
    assert "does not start" in check_ffmpeg().what
    assert "apt-get install ffmpeg" in check_ffmpeg().fix


def test_files_are_looked_into(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert "does not exist" in check_file(FileSource(type="file", id="a", path=str(path))).what
    path.write_text("no audio")
    assert "not readable as audio" in check_file(FileSource(type="file", id="a", path=str(path))).what
    soundfile.write(path, np.zeros((22_050, 2), np.float32), 44_100)
    finding = check_file(FileSource(type="file", id="a", path=str(path)))
    assert (finding.outcome, finding.what) == ("ok", "a.wav: 0.5 s, 44100 Hz, 2 channels")


def test_only_what_the_sources_need_is_checked(machine: SoundTree, tmp_path: Path) -> None:
    stdin = StdinSource(type="stdin", id="pipe")
    url = UrlSource.model_validate({"type": "url", "id": "cam", "url": "rtsp://u:secret@cam.lan/"})
    absent = FileSource(type="file", id="file", path=str(tmp_path / "absent.wav"))
    assert check_sources([stdin], machine.roots) == []
    assert [one.check for one in check_sources([url], machine.roots)] == ["ffmpeg"]
    checks = [one.check for one in check_sources([microphone(CAMERA), absent], machine.roots)]
    assert checks == ["PyAudio", "sound devices", "source hall", "source file"]
