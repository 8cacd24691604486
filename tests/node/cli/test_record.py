"""`node-cli record` as a program: by itself, through a running node, with and without a terminal."""

import json
import os
import pty
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from support.mqtt_node import event
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import DiskClips
from earshot_node.contract.config import RecordingsSection
from earshot_node.recordings.entry import Entry
from earshot_node.recordings.store import RecordingStore

NODE_CLI = Path(sys.executable).with_name("node-cli")
QUICK = ("--seconds", "0.5", "--gap", "0")


@pytest.fixture(scope="module")
def hum(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("hum") / "hum.wav"
    soundfile.write(path, 0.1 * np.sin(np.arange(10 * 16000) / 20).astype(np.float32), 16000)
    return path


def settings(audio: Path, **sections: Any) -> dict[str, Any]:
    return {
        "node": {"id": "hall"},
        "sources": [{"id": "street", "name": "Street", "type": "file", "path": str(audio), "loop": True}],
        "mqtt": {"enabled": False},
        "recordings": {"free_floor_mb": 0},
        **sections,
    }


def write_config(folder: Path, values: dict[str, Any]) -> Path:
    path = folder / "node.yaml"
    values = {**values, "node": {**values["node"], "state_dir": str(folder / "state")}}
    path.write_text(yaml.safe_dump(values))
    return path


def record(config: Path, *args: str, stdin: Any = subprocess.DEVNULL) -> subprocess.CompletedProcess[str]:
    command = [NODE_CLI, "record", "--config", config, *args]
    return subprocess.run(command, stdin=stdin, capture_output=True, text=True, timeout=100, check=False)


def entries(folder: Path) -> list[Entry]:
    return RecordingStore(folder / "state" / "recordings", RecordingsSection()).entries()


def test_without_a_node_the_source_is_opened_here(tmp_path: Path, hum: Path) -> None:
    config = write_config(tmp_path, settings(hum))
    result = record(config, "--label", "siren", "--count", "2", "--json", *QUICK)
    assert result.returncode == 0, result.stderr
    assert "opened here" in result.stderr
    assert "siren 2 of 20, background 0 of 20" in result.stderr
    assert f"Next: node-cli record --config {config} --label siren --count 18\n" in result.stderr
    told = [json.loads(line) for line in result.stdout.splitlines()]
    kept = [json.loads(entry.info.encode()) for entry in entries(tmp_path)]
    assert told == kept
    assert [one["duration_s"] for one in told] == [0.5, 0.5]
    assert told[0]["labelling"]["by"] == "command_line"
    assert told[0]["level_dbfs"] == pytest.approx(-23.0, abs=0.1)


def test_running_node_records_from_its_own_stream(tmp_path: Path, hum: Path) -> None:
    with NodeProcess(tmp_path, settings(hum, http={"port": 0})) as node:
        node.wait_for_log("HTTP on", 60)
        config = tmp_path / "node.yaml"
        wait_until((tmp_path / "state" / "http_address").exists, what="the address")
        result = record(config, "--label", "background", *QUICK)
        assert result.returncode == 0, result.stderr
        assert "through the running node hall" in result.stderr
        (entry,) = entries(tmp_path)
        assert entry.info.labelling is not None
        assert entry.info.labelling.title == "background"
        assert entry.info.level_dbfs == pytest.approx(-23.0, abs=0.1)
        unknown = record(config, "--label", "siren", "--source", "cellar")
        assert unknown.returncode == 2
        assert "the node has street" in unknown.stderr
        node.kill()
    assert (tmp_path / "state" / "http_address").exists()
    again = record(config, "--label", "background", *QUICK)
    assert (again.returncode, "opened here" in again.stderr) == (0, True)


def test_label_that_nobody_uses_yet_must_be_meant(tmp_path: Path, hum: Path) -> None:
    config = write_config(tmp_path, settings(hum))
    result = record(config, "--label", "sirne", *QUICK)
    assert result.returncode == 1
    assert "did you mean 'siren'?; --new-label begins a new one" in result.stderr
    assert record(config, "--label", "tractor", "--new-label", *QUICK).returncode == 0
    assert record(config, "--label", "tractor", *QUICK).returncode == 0
    assert len(entries(tmp_path)) == 2


def test_silence_is_not_kept_and_the_exit_code_says_so(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "silent.wav", np.zeros(160000, np.float32), 16000)
    result = record(write_config(tmp_path, settings(tmp_path / "silent.wav")), "--label", "siren", *QUICK)
    assert result.returncode == 3
    assert "digital silence: is the microphone muted" in result.stderr
    assert entries(tmp_path) == []


def test_full_quota_is_refused_before_anything_is_recorded(tmp_path: Path, hum: Path) -> None:
    values = settings(hum, recordings={"free_floor_mb": 0, "quota_mb": 0.01})
    result = record(write_config(tmp_path, values), "--label", "siren", *QUICK)
    assert result.returncode == 1
    assert "raise recordings.quota_mb" in result.stderr.splitlines()[-1]


def test_source_that_gives_nothing_is_told(tmp_path: Path) -> None:
    result = record(write_config(tmp_path, settings(tmp_path / "absent.wav")), "--label", "siren", *QUICK)
    assert result.returncode == 3
    assert "no audio comes" in result.stderr
    assert "absent.wav" in result.stderr


def test_past_event_is_labelled_by_its_id(tmp_path: Path, hum: Path) -> None:
    config = write_config(tmp_path, settings(hum, clips={"store": "disk", "free_floor_mb": 0}))
    begin = datetime(2026, 11, 22, tzinfo=UTC)
    clip = encode_clip(np.full(16000, 900, np.int16), begin, event(1, "offset"))
    DiskClips(tmp_path / "state" / "clips", 10, 0).add(clip)
    result = record(config, "--not", "siren", "--from-event", event(1).id)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("1.0 s around the event kept as not siren, ")
    missing = record(config, "--label", "siren", "--from-event", "no-such-event")
    assert (missing.returncode, "there is no clip of event" in missing.stderr) == (1, True)


@pytest.mark.parametrize(
    "args",
    [
        (),
        ("--not", "siren"),
        ("--label", "siren", "--not", "dog", "--from-event", "12345678"),
        ("--label", "siren", "--seconds", "0.1"),
        ("--label", "siren", "--count", "0"),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(tmp_path: Path, hum: Path, args: tuple[str, ...]) -> None:
    result = record(write_config(tmp_path, settings(hum)), *args)
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_person_at_a_terminal_sees_a_meter_and_takes_back_with_a_key(tmp_path: Path, hum: Path) -> None:
    config = write_config(tmp_path, settings(hum))
    command = [NODE_CLI, "record", "--config", config, "--label", "siren", "--seconds", "0.5", "--gap", "2"]
    master, slave = pty.openpty()
    process = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave)
    os.close(slave)
    seen = read_until(master, b"[r] redo")
    assert b"begins in" in seen
    assert b"RECORDING" in seen
    assert b"dBFS" in seen
    os.write(master, b"r")
    read_until(master, b"begins in")
    read_until(master, b"[r] redo")
    os.write(master, b"q")
    read_until(master, b"1 of 1 recorded")
    assert process.wait(20) == 0
    os.close(master)
    assert len(entries(tmp_path)) == 1


def read_until(descriptor: int, text: bytes) -> bytes:
    """Read from a terminal until `text` came; the test's own time limit ends what never comes."""
    seen = b""
    while text not in seen:
        seen += os.read(descriptor, 4096)
    return seen


@pytest.mark.root
def test_root_is_sent_to_the_nodes_user_so_that_the_node_can_read_it(tmp_path: Path, hum: Path) -> None:
    config = write_config(tmp_path, settings(hum))
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", 1, 1)
    result = record(config, "--label", "siren", *QUICK)
    assert result.returncode == 1
    assert "sudo -u daemon node-cli record" in result.stderr
