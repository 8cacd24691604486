"""The installer in a Debian in a folder, and the installed service under a real systemd."""

import shutil
import stat
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.debian import boot, debian_folder, run_beside

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

CONFIGURATION = """\
node: {id: attic}
sources:
  - {id: noise, type: file, path: /var/lib/earshot/noise.wav, loop: true}
mqtt: {enabled: false}
"""

PROBE_UNIT = """\
[Service]
Type=oneshot
TimeoutStartSec=120
ExecStart=/probe
ExecStopPost=systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
"""

# Runs inside: says what systemd knows of the service, freezes its process, and says it again.
PROBE = """\
#!/bin/sh
show() { systemctl show earshot-node --value --property "$1"; }
await_healthy() { until [ "$(show NRestarts)" = "$1" ] && show StatusText | grep -q healthy; do sleep 0.2; done; }

await_healthy 0
sleep 10
await_healthy 0
echo "fed NRestarts=$(show NRestarts) $(show StatusText)"
grep -E '^(Seccomp|NoNewPrivs|CapEff|Uid):' "/proc/$(show MainPID)/status"
kill -STOP "$(show MainPID)"
await_healthy 1
echo "frozen NRestarts=$(show NRestarts) $(show StatusText)"
"""


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return debian_folder(tmp_path_factory.mktemp("debian") / "root")


@pytest.fixture(scope="module")
def installer() -> Path:
    return Path(__file__).resolve().parents[2] / "deploy/install.sh"


@pytest.fixture(scope="module")
def installed(system: Path, installer: Path) -> Path:
    """The system after a first installation."""
    done = install(system, installer)
    assert done.returncode == 0, done.stderr
    assert "/etc/earshot/node.yaml (new)" in done.stdout
    return system


def install(system: Path, installer: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_beside(system, [installer, "--root", system, *arguments], timeout_s=600)


def node_cli(system: Path, *arguments: str) -> str:
    command: list[str | Path] = ["chroot", system, "/usr/local/bin/node-cli", *arguments]
    done = run_beside(system, command, timeout_s=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def owner_and_mode(system: Path, path: str) -> tuple[str, str]:
    command: list[str | Path] = ["chroot", system, "stat", "--format=%U:%G %a", path]
    owner, mode = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return owner, mode


def test_program_runs_and_can_read_microphones(installed: Path) -> None:
    assert node_cli(installed, "--version").startswith("earshot ")
    command: list[str | Path] = [
        "chroot",
        installed,
        "/opt/earshot/venv/bin/python",
        "-c",
        "import pyaudio; pyaudio.PyAudio()",
    ]
    assert run_beside(installed, command, timeout_s=60).returncode == 0


def test_password_belongs_to_the_service_alone(installed: Path) -> None:
    assert owner_and_mode(installed, "/etc/earshot/mqtt-password") == ("earshot:earshot", "600")
    assert owner_and_mode(installed, "/etc/earshot/node.yaml") == ("root:earshot", "640")
    assert owner_and_mode(installed, "/var/lib/earshot") == ("earshot:earshot", "700")


def test_service_user_hears_and_cannot_log_in(installed: Path) -> None:
    groups = subprocess.run(["chroot", installed, "id", "-Gn", "earshot"], check=True, capture_output=True, text=True)
    assert "audio" in groups.stdout.split()
    account = next(line for line in (installed / "etc/passwd").read_text().splitlines() if line.startswith("earshot:"))
    assert account.endswith(":/usr/sbin/nologin")


def test_no_torch_is_installed(installed: Path) -> None:
    packages = [path.name for path in (installed / "opt/earshot/venv/lib").glob("python*/site-packages/*")]
    assert len(packages) > 20
    assert not [name for name in packages if name.startswith("torch")]


def test_upgrade_keeps_configuration_and_leaves_one_environment(installed: Path, installer: Path) -> None:
    config = installed / "etc/earshot/node.yaml"
    config.write_text(CONFIGURATION)
    (installed / "etc/earshot/mqtt-password").write_text("secret")
    before = (installed / "opt/earshot/venv").readlink()
    done = install(installed, installer)
    assert done.returncode == 0, done.stderr
    assert "/etc/earshot/node.yaml (kept)" in done.stdout
    assert config.read_text() == CONFIGURATION
    assert (installed / "etc/earshot/mqtt-password").read_text() == "secret"
    assert stat.S_IMODE((installed / "etc/earshot/mqtt-password").stat().st_mode) == 0o600
    after = (installed / "opt/earshot/venv").readlink()
    assert after != before
    assert sorted(path.name for path in (installed / "opt/earshot").iterdir()) == ["venv", after.name]


def test_upgrade_that_does_not_suit_the_configuration_changes_nothing(installed: Path, installer: Path) -> None:
    config = installed / "etc/earshot/node.yaml"
    kept = config.read_text()
    config.write_text("sources: []\nsauces: []\n")
    before = sorted((installed / "opt/earshot").iterdir())
    done = install(installed, installer)
    config.write_text(kept)
    assert done.returncode == 1
    assert "sauces" in done.stderr
    assert "nothing was changed" in done.stderr.splitlines()[-1]
    assert sorted((installed / "opt/earshot").iterdir()) == before
    assert node_cli(installed, "--version").startswith("earshot ")


def test_service_runs_hardened_under_systemd_and_its_watchdog_bites(installed: Path) -> None:
    (installed / "etc/earshot/node.yaml").write_text(CONFIGURATION)
    noise = np.random.default_rng(1).normal(0, 0.01, 16000 * 20)
    soundfile.write(installed / "var/lib/earshot/noise.wav", noise, 16000)
    shutil.chown(installed / "var/lib/earshot/noise.wav", (installed / "var/lib/earshot").stat().st_uid)
    units = installed / "etc/systemd/system"
    (units / "earshot-node.service.d").mkdir()
    (units / "earshot-node.service.d/test.conf").write_text("[Service]\nWatchdogSec=4\nRestartSec=1\n")
    (units / "probe.service").write_text(PROBE_UNIT)
    (units / "multi-user.target.wants/probe.service").symlink_to("/etc/systemd/system/probe.service")
    (installed / "probe").write_text(PROBE)
    (installed / "probe").chmod(0o755)

    console = boot(installed, timeout_s=180)

    journal: list[str | Path] = [
        "journalctl",
        "--directory",
        installed / "var/log/journal",
        "--no-pager",
        "--output=cat",
    ]
    said = subprocess.run([*journal, "-u", "probe"], capture_output=True, text=True).stdout or console
    log = subprocess.run([*journal, "-u", "earshot-node"], capture_output=True, text=True).stdout
    assert "fed NRestarts=0 healthy" in said, log
    assert "NoNewPrivs:\t1" in said
    assert "Seccomp:\t2" in said
    assert "CapEff:\t0000000000000000" in said
    assert "Uid:\t0" not in said
    assert "Watchdog timeout" in log
    assert "frozen NRestarts=1 healthy" in said, log


def test_uninstall_keeps_configuration_and_state_until_purge(installed: Path, installer: Path) -> None:
    assert install(installed, installer, "--uninstall").returncode == 0
    assert not (installed / "opt/earshot").exists()
    assert not (installed / "usr/local/bin/node-cli").is_symlink()
    assert not (installed / "etc/systemd/system/earshot-node.service").exists()
    assert (installed / "etc/earshot/node.yaml").exists()
    assert (installed / "var/lib/earshot").exists()
    assert install(installed, installer, "--uninstall", "--purge").returncode == 0
    assert not (installed / "etc/earshot").exists()
    assert not (installed / "var/lib/earshot").exists()
    assert "earshot" not in (installed / "etc/passwd").read_text()
