"""Doctor as a whole and as a command."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.mosquitto import Mosquitto, free_port

from earshot_node.cli.lazy_group import run_program
from earshot_node.cli.main import cli
from earshot_node.doctor.diagnosis import check_config, diagnose


def write_config(folder: Path, port: int) -> Path:
    soundfile.write(folder / "a.wav", np.zeros(16_000, np.float32), 16_000)
    path = folder / "node.yaml"
    path.write_text(
        "node: {id: hall, state_dir: state}\nsources: [{id: a, type: file, path: a.wav}]\n"
        f"mqtt: {{host: 127.0.0.1, port: {port}}}\nhttp: {{port: 0}}\n"
    )
    return path


@pytest.mark.mosquitto
def test_sound_node_has_no_failures(tmp_path: Path, broker: Mosquitto, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, broker.port)
    assert run_program(cli, "node-cli", ["doctor", "--config", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "failures: 0" in shown
    for check in ("configuration", "source a", "broker", "broker rights", "model", "speed", "clock", "disk", "http"):
        assert f"  {check}: " in shown


def test_broken_node_fails_and_says_the_fix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_config(tmp_path, free_port())
    (tmp_path / "a.wav").unlink()
    assert run_program(cli, "node-cli", ["doctor", "--config", str(path), "--json"]) == 1
    findings = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    failed = {one["check"]: one for one in findings if one["outcome"] == "fail"}
    assert set(failed) == {"source a", "broker"}
    assert all(one["fix"] for one in failed.values())


def test_wrong_configuration_is_a_finding_and_the_rest_is_still_checked(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("sources: [{id: a, type: microfone}]\nmqtt: {prot: 1}\n")
    findings = list(diagnose(path))
    first, second = (one.what for one in findings if one.check == "configuration")
    assert first.startswith(f"{path}:1: sources[0]: type 'microfone' is unknown, expected microphone, file, url, stdin")
    assert second == f"{path}:2: mqtt.prot: unknown key; did you mean 'port'?"
    assert {"model", "clock"} <= {one.check for one in findings}


def test_password_that_others_can_read_is_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "node.yaml"
    path.write_text("sources: [{id: a, type: microphone}]\nmqtt: {password: hunter2}\n")
    path.chmod(0o644)
    findings = check_config(path)[1]
    assert [(one.check, one.outcome) for one in findings] == [("configuration", "ok"), ("secrets", "warn")]
    assert "hunter2" not in str(findings)
    path.chmod(0o600)
    assert len(check_config(path)[1]) == 1


def test_without_configuration_the_machine_is_checked() -> None:
    checks = [finding.check for finding in diagnose(None)]
    assert checks == ["PyAudio", "sound devices", "model", "speed", "clock"]
