"""`node-cli monitor` as a user starts it."""

import os
import pty
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.waiting import wait_until

from earshot_node.synth.reference import reference_clips

PROGRAM = [sys.executable, "-m", "earshot_node", "monitor"]


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*PROGRAM, *args], capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def siren(tmp_path: Path) -> Path:
    """Four seconds of a siren in traffic."""
    path = tmp_path / "siren.wav"
    soundfile.write(path, reference_clips()[0].samples, 16_000)
    return path


def test_file_is_followed_line_by_line_to_its_end(siren: Path) -> None:
    result = run("--file", str(siren))
    assert result.returncode == 0, result.stderr
    seconds = re.findall(r"^ +(\d)\.\d\d s  level +-\d+\.\d dBFS  siren \d\.\d\d$", result.stdout, re.MULTILINE)
    assert seconds in [sorted({*"1234"} - {late}) for late in " 123"]  # a busy machine may skip one
    assert "siren begins, posterior" in result.stdout
    assert "file: healthy" in result.stdout


def test_other_labels_are_shown_when_they_are_asked_for(siren: Path) -> None:
    result = run("--file", str(siren), "--label", "speech", "--label", "siren")
    assert result.returncode == 0, result.stderr
    assert re.search(r" dBFS  siren \d\.\d\d  speech \d\.\d\d$", result.stdout, re.MULTILINE)


def test_source_of_a_configuration_is_followed(siren: Path) -> None:
    path = siren.parent / "node.yaml"
    point = "{enter: 1.0, leave: 1.0, min_length_s: 1, bridging_s: 1, cooldown_s: 1}"
    path.write_text(
        "sources: [{id: other, type: file, path: absent.wav}, {id: street, type: file, path: siren.wav}]\n"
        f"detection: {{operating_points: {{siren: {point}}}}}\n"
    )
    result = run("--config", str(path), "--source", "street", "--seconds", "2")
    assert result.returncode == 0, result.stderr
    assert "street: healthy" in result.stdout
    assert "begins" not in result.stdout


def test_terminal_gets_bars_with_thresholds(siren: Path) -> None:
    controller, terminal = pty.openpty()
    process = subprocess.Popen(
        [*PROGRAM, "--file", str(siren)],
        stdout=terminal,
        stderr=terminal,
        env={**os.environ, "COLUMNS": "90", "LINES": "40", "TERM": "xterm"},
    )
    os.close(terminal)
    shown = b""
    try:
        while data := os.read(controller, 65_536):
            shown += data
    except OSError:
        pass  # Linux ends a terminal's last reader so
    os.close(controller)
    assert process.wait(20) == 0
    assert re.search(rb"siren +\d\.\d\d  \[[#.]*\([#.]*\|[#.]*\]", shown)
    assert b"enter 0." in shown
    assert b"leave 0." in shown


def test_interrupt_is_the_ordinary_end(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.random.default_rng(1).normal(0, 0.01, 60 * 16_000), 16_000)
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen([*PROGRAM, "--file", str(path)], stdout=out, stderr=out)
    wait_until(lambda: "dBFS" in (tmp_path / "out").read_text(), 30)
    process.send_signal(signal.SIGINT)
    assert process.wait(10) == 0
    assert "Traceback" not in (tmp_path / "out").read_text()


def test_microphone_that_is_absent_is_told() -> None:
    result = run("--device", "usb-0000_0000-nowhere-1", "--seconds", "2")
    assert result.returncode == 0
    assert result.stdout.startswith("microphone: absent, ")
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (("--file", "absent.wav"), "--file absent.wav: no such file"),
        (("--file", "a.wav", "--device", "b"), "give one of --config, --file and --device"),
        (("--source", "a"), "--source needs --config"),
        (("--preset", "loud"), "'loud' is not one of"),
    ],
)
def test_wrong_usage_is_one_line(args: tuple[str, ...], said: str) -> None:
    result = run(*args)
    assert result.returncode == 2
    assert said in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_unknown_source_is_told_with_those_there_are(repository: Path) -> None:
    result = run("--config", str(repository / "config" / "camera.yaml"), "--source", "attic")
    assert result.returncode == 2
    assert "--source attic: the configuration has driveway, street" in result.stderr
