"""The systemd unit, judged by systemd's own tools."""

import configparser
import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

TRAINER_PROGRAM = "/opt/earshot-trainer/venv/bin/trainer-cli"
MOST_EXPOSURE = 20  # tenths, from 0 to 100; a service without hardening has 96
EXPLAINED_IN_THE_UNIT = {"PrivateDevices=", "PrivateUsers=", "ProcSubset="}
NEEDED = {
    "PrivateNetwork=": "the broker",
    "RestrictAddressFamilies=~AF_(INET|INET6)": "the broker",
    "RestrictAddressFamilies=~AF_UNIX": "notifications to systemd, sound servers",
    "IPAddressDeny=": "the broker's address is the operator's choice",
    "DeviceAllow=": "sound cards",
    "RootDirectory=/RootImage=": "Python comes from the system",
    "SupplementaryGroups=": "audio",
    "SystemCallFilter=~@resources": "part of @system-service; onnxruntime places its threads",
}


@pytest.fixture
def unit(repository: Path, tmp_path: Path) -> Path:
    """A copy of the unit whose program exists, as it does after an installation."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing; `sudo apt-get install systemd`, or run scripts/test as root")
    text = (repository / "deploy/earshot-node.service").read_text()
    program = "/opt/earshot/venv/bin/node-cli"
    assert program in text
    copy = tmp_path / "earshot-node.service"
    copy.write_text(text.replace(program, "/bin/true"))
    return copy


@pytest.fixture
def trainer_unit(repository: Path, tmp_path: Path, unit: Path) -> Path:
    """A copy of the trainer's unit with a program that exists."""
    copy = tmp_path / "earshot-trainer.service"
    text = (repository / "deploy/earshot-trainer.service").read_text()
    assert TRAINER_PROGRAM in text
    copy.write_text(text.replace(TRAINER_PROGRAM, "/bin/true"))
    return copy


def test_trainer_s_environment_is_made_by_the_unit_s_head_and_left_alone_by_the_node_s_installation(
    repository: Path,
) -> None:
    unit = (repository / "deploy/earshot-trainer.service").read_text()
    page = (repository / "docs/deploying.md").read_text()
    environment = Path(TRAINER_PROGRAM).parents[1]
    commands = [f"sudo python3 -m venv {environment}", f"sudo {environment}/bin/pip install '.[trainer]'"]
    for command in commands:
        assert f"\n#   {command}" in unit
        assert f"\n    {command}" in page
    assert re.findall(r"\S+/bin/trainer-cli", unit) == [TRAINER_PROGRAM, f"ExecStart={TRAINER_PROGRAM}"]
    assert not environment.is_relative_to("/opt/earshot")


def test_systemd_finds_nothing_wrong_with_what_reloads_the_broker(repository: Path, tmp_path: Path, unit: Path) -> None:
    units = [tmp_path / f"earshot-broker-reload.{kind}" for kind in ("path", "service")]
    for copy in units:
        copy.write_text((repository / "deploy" / copy.name).read_text())
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_trainer_s_unit_runs_serve_as_its_own_user_and_keeps_its_files_private(trainer_unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", trainer_unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    judged = ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", trainer_unit]
    assert subprocess.run(judged, capture_output=True).returncode == 0
    settings = configparser.ConfigParser(strict=False, interpolation=None)
    settings.optionxform = str  # type: ignore[assignment,method-assign]
    settings.read(trainer_unit)
    service = settings["Service"]
    assert service["ExecStart"] == "/bin/true serve"
    assert service["User"] == "earshot-trainer"
    assert (service["UMask"], service["StateDirectoryMode"]) == ("0077", "0700")
    assert service["Environment"] == f"EARSHOT_HOME=/var/lib/{service['StateDirectory']}"


def test_systemd_finds_nothing_wrong(unit: Path) -> None:
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_verification_finds_a_misspelt_setting(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("WatchdogSec", "WatchdogSecs"))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    assert "WatchdogSecs" in done.stderr


def test_what_the_service_may_do_is_what_it_needs(unit: Path) -> None:
    command: list[str | Path] = [
        "systemd-analyze",
        "security",
        "--offline=true",
        f"--threshold={MOST_EXPOSURE}",
        "--json=short",
        unit,
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    open_doors = {row["name"] for row in json.loads(done.stdout) if row["set"] is False and row["name"]}
    assert open_doors <= EXPLAINED_IN_THE_UNIT | set(NEEDED)
    assert done.returncode == 0, done.stderr


def test_left_out_hardening_is_explained_in_the_unit(unit: Path) -> None:
    text = unit.read_text()
    assert [name for name in sorted(EXPLAINED_IN_THE_UNIT) if f"{name.strip('=')}" not in text] == []


def test_watchdog_outlasts_four_feeds_and_a_failed_start_is_tried_again(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.read(unit)
    assert parser["Service"]["Type"] == "notify"
    assert int(parser["Service"]["WatchdogSec"]) >= 20
    assert parser["Service"]["Restart"] == "on-failure"
    assert parser["Unit"]["StartLimitIntervalSec"] == "0"
