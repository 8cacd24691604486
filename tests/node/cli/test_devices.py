"""`node-cli devices`, with a PCM of ALSA's own where there is no sound card."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.alsa import VirtualAlsa

from earshot_node.audio.devices import Microphone
from earshot_node.cli.lazy_group import run_program
from earshot_node.cli.main import cli

USB = Microphone("usb-046d_0825-0000:01:00.0-1.2", "C270 HD WEBCAM", 16_000, 1)
BUSY = Microphone("pci-0000:00:1f.3", "HDA Intel PCH", None, 2, 4711, "pulseaudio")


def run(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "earshot_node", "devices", *args],
        env={**os.environ, "HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.portaudio
def test_device_is_listed_with_its_id_and_level(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).normal(0, 3276.8, 96_000).astype(np.int16)
    VirtualAlsa(tmp_path).add("earshot_noise", noise)
    result = run(tmp_path)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    at = lines.index("alsa:earshot_noise")
    assert "ALSA PCM earshot_noise, " in lines[at + 1]
    assert "level -2" in lines[at + 2]
    (row,) = (one for one in map(json.loads, run(tmp_path, "--json").stdout.splitlines()) if "earshot" in one["id"])
    assert row["level_dbfs"] == pytest.approx(-25, abs=2)  # -20 dBFS of white noise, of which 16 kHz hold a third
    assert row["silent"] is False


@pytest.mark.portaudio
def test_muted_device_is_told(tmp_path: Path) -> None:
    VirtualAlsa(tmp_path).add("earshot_muted", np.zeros(96_000, np.int16))
    assert "digital silence: muted, or no microphone behind it" in run(tmp_path).stdout


def shown(
    found: list[Microphone], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *args: str
) -> tuple[int, str, str]:
    """Run the command on a machine with these devices."""
    monkeypatch.setattr("earshot_node.audio.devices.list_devices", lambda **_: found)
    code = run_program(cli, "node-cli", ["devices", *args])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_machine_without_microphones_gets_advice(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, err = shown([], monkeypatch, capsys)
    assert (code, out) == (0, "")
    assert err.startswith("No microphone found. Plug one in")
    assert shown([], monkeypatch, capsys, "--json")[:2] == (0, "")


def test_device_in_use_is_not_opened_and_its_user_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = shown([BUSY], monkeypatch, capsys)
    assert code == 0
    assert out.splitlines() == [
        "pci-0000:00:1f.3",
        "    HDA Intel PCH, rate unknown, 2 channels",
        "    in use by process 4711 (pulseaudio)",
    ]


def test_device_that_cannot_be_opened_is_told_and_exits_3(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = shown([USB], monkeypatch, capsys)  # no such device here
    assert code == 3
    assert "    cannot be heard: " in out
    assert shown([USB], monkeypatch, capsys, "--no-level")[0] == 0


def test_missing_pyaudio_is_a_warning_and_cards_are_listed_all_the_same(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from earshot_node.audio.microphone_child import MISSING
    from earshot_node.errors import SourceError

    def without_pyaudio() -> list[object]:
        raise SourceError(MISSING)

    monkeypatch.setattr("earshot_node.audio.devices.portaudio_inputs", without_pyaudio)
    assert run_program(cli, "node-cli", ["devices"]) == 0
    assert capsys.readouterr().err.startswith("warning: PyAudio is not installed")
