"""`node-cli record --auto` as a program: with the owner's consent only, by itself and through a running node."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import yaml
from support.node_process import NodeProcess
from support.waiting import wait_until

from earshot_node.contract.config import RecordingsSection
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.recordings.store import RecordingStore

NODE_CLI = Path(sys.executable).with_name("node-cli")
ALWAYS = {"enter": 1e-9, "leave": 1e-9, "min_length_s": 0.04, "bridging_s": 0.0, "cooldown_s": 0.0}
CONSENT = {"enabled": True, "pre_roll_s": 1, "post_roll_s": 1}
NOISE = (0.01 * np.random.default_rng(1).standard_normal(4 * 16000)).astype(np.float32)


def settings(source: dict[str, Any], auto: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return {
        "node": {"id": "hall"},
        "sources": [{"id": "street", **source}],
        "mqtt": {"enabled": False},
        "detection": {"operating_points": {"siren": ALWAYS}},
        "recordings": {"free_floor_mb": 0, "auto": auto},
        **sections,
    }


@pytest.fixture
def write(tmp_path: Path) -> Any:
    """Writes a configuration whose source is a file of noise, all of which counts as a siren."""

    def written(auto: dict[str, Any], **source: Any) -> Path:
        soundfile.write(tmp_path / "noise.wav", NOISE, 16000)
        values = settings({"type": "file", "path": str(tmp_path / "noise.wav"), "real_time": False, **source}, auto)
        values["node"]["state_dir"] = str(tmp_path / "state")
        path = tmp_path / "node.yaml"
        path.write_text(yaml.safe_dump(values))
        return path

    return written


def record(config: Path, *args: str) -> subprocess.CompletedProcess[str]:
    command = [NODE_CLI, "record", "--config", config, *args]
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=100, check=False)


@contextmanager
def following(config: Path, **streams: Any) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([NODE_CLI, "record", "--config", config, "--auto", "--json"], **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def kept(folder: Path) -> list[RecordingInfo]:
    return [entry.info for entry in RecordingStore(folder / "state" / "recordings", RecordingsSection()).entries()]


def test_without_a_node_it_listens_itself_and_tells_the_days_budget(tmp_path: Path, write: Any) -> None:
    config = write(CONSENT)
    first = record(config, "--auto", "--json")
    assert first.returncode == 0, first.stderr
    begun, told, summed, following = first.stderr.splitlines()
    assert begun == "listening; today 0 of 300 s used, 300 s left"
    assert "street: detected siren" in told
    assert "4.0 s kept" in told
    assert told.endswith("today 4 of 300 s used, 296 s left")
    assert summed == "1 kept, 4.0 s; today 4 of 300 s used, 296 s left."
    assert "trainer-cli collect, trainer-cli label" in following
    (info,) = kept(tmp_path)
    assert RecordingInfo.decode(first.stdout.encode()) == info
    assert (info.origin, info.labelling, info.duration_s) == ("event", None, 4.0)
    assert info.candidate is not None
    assert info.candidate.reason == "detected"
    again = record(config, "--auto")
    assert again.stderr.startswith("listening; today 4 of 300 s used, 296 s left\n")
    assert again.stdout == ""


def test_what_the_days_budget_does_not_hold_is_not_kept_and_told(tmp_path: Path, write: Any) -> None:
    result = record(write({**CONSENT, "per_day_s": 3}), "--auto")
    assert result.returncode == 0
    assert "not kept: 4.0 s are more than is left of the day's budget (recordings.auto.per_day_s)" in result.stderr
    assert "0 kept, 0.0 s; today 0 of 3 s used, 3 s left." in result.stderr
    assert kept(tmp_path) == []


def test_without_consent_it_refuses_in_one_line_that_names_the_setting(tmp_path: Path, write: Any) -> None:
    result = record(write({"enabled": False}), "--auto")
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    assert "recordings.auto.enabled: true" in line
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("--label", "siren"),
        ("--not", "siren"),
        ("--count", "1"),
        ("--from-event", "12345678"),
        ("--seconds", "3"),
        ("--gap", "1"),
        ("--source", "street"),
        ("--new-label",),
    ],
)
def test_it_goes_with_nothing_that_is_recorded_by_hand(tmp_path: Path, write: Any, args: tuple[str, ...]) -> None:
    result = record(write(CONSENT), "--auto", *args)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert f"--auto keeps what the node itself finds; {args[0]} does not go with it" in line
    assert kept(tmp_path) == []


def test_source_that_cannot_be_opened_is_told_while_it_listens(tmp_path: Path, write: Any) -> None:
    with following(write(CONSENT, path=str(tmp_path / "absent.wav")), stderr=subprocess.PIPE) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith(b"listening")
        assert b"absent.wav: No such file" in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.stderr.read().startswith(b"0 kept, ")
        assert process.wait(20) == 0


def test_interrupt_keeps_what_sounds_and_ends_in_order(tmp_path: Path, write: Any) -> None:
    ours, theirs = pty.openpty()
    with following(write(CONSENT, loop=True, real_time=True), stderr=theirs, stdout=subprocess.PIPE) as process:
        os.close(theirs)
        shown = read_until(ours, "296 s left; Ctrl-C ends")
        assert "listening; today 0 of 300 s used, 300 s left; Ctrl-C ends" in shown
        process.send_signal(signal.SIGINT)
        shown = read_until(ours, "trainer-cli label")
        assert process.wait(20) == 0
        assert process.stdout is not None
        told = process.stdout.read().splitlines()
    os.close(ours)
    assert f"{len(told)} kept" in shown
    assert [json.loads(line)["id"] for line in told] == [info.id for info in kept(tmp_path)]


def read_until(descriptor: int, text: str) -> str:
    """What a terminal shows until `text`; the test's own time limit ends what never comes."""
    seen = ""
    while text not in seen:
        select.select([descriptor], [], [], 60)
        seen += os.read(descriptor, 4096).decode()
    return seen


def node_settings(auto: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return settings({"type": "stdin"}, auto, **{"http": {"port": 0}, "clips": {"store": "off"}, **sections})


def test_running_node_is_followed_until_the_interrupt(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, node_settings(CONSENT)) as node:
        wait_until((node.state_dir / "http_address").exists, 60, "the address")
        with following(tmp_path / "node.yaml", stderr=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stderr is not None
            assert process.stdout is not None
            assert process.stderr.readline() == b"listening; today 0 of 300 s used, 300 s left\n"
            noise = (NOISE * 32768).astype("<i2").tobytes()
            node.feed(noise)
            # What sounds after the decision is kept as well, and all of the first may have come before it.
            while not select.select([process.stdout], [], [], 0.5)[0]:
                node.feed(noise)
            told = RecordingInfo.decode(process.stdout.readline())
            process.send_signal(signal.SIGINT)
            rest = process.stderr.read()
            assert process.wait(20) == 0
        assert kept(tmp_path) == [told]
        assert told.origin == "candidate"
        assert b"1 kept, " in rest
        assert "Traceback" not in node.log
        assert node.terminate() == 0


def test_running_node_without_consent_refuses_whatever_the_file_says_by_now(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, node_settings({"enabled": False})) as node:
        wait_until((node.state_dir / "http_address").exists, 60, "the address")
        config = tmp_path / "node.yaml"
        values = yaml.safe_load(config.read_text())
        values["recordings"]["auto"]["enabled"] = True
        config.write_text(yaml.safe_dump(values))
        result = record(config, "--auto")
        assert result.returncode == 1
        (line,) = result.stderr.splitlines()
        assert line.endswith("`recordings.auto.enabled: true` in the node's configuration, and restarts the node")


def test_node_that_ends_is_told(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, node_settings(CONSENT)) as node:
        wait_until((node.state_dir / "http_address").exists, 60, "the address")
        with following(tmp_path / "node.yaml", stderr=subprocess.PIPE) as process:
            assert process.stderr is not None
            process.stderr.readline()
            assert node.terminate() == 0
            assert process.wait(30) == 1
            assert b"error: the node" in process.stderr.read().splitlines()[-1]


def test_node_that_cannot_be_followed_does_not_get_a_second_listener_beside_it(tmp_path: Path) -> None:
    with NodeProcess(tmp_path, node_settings(CONSENT, http={"enabled": False})) as node:
        node.feed((NOISE * 32768).astype("<i2").tobytes())
        node.wait_for_log("first decision", 60)
        result = record(tmp_path / "node.yaml", "--auto")
        assert result.returncode == 1
        assert "is in use by another process; stop the other node" in result.stderr
