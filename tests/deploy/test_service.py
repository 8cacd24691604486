"""The installed service under a real systemd, with the hardening of its unit."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.debian import boot, debian_folder, run_beside

from earshot_node.synth.siren_parameters import SirenKind, SirenParameters
from earshot_node.synth.sirens import SAMPLE_RATE_HZ, synthesize

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

REPOSITORY = Path(__file__).resolve().parents[2]

CONFIGURATION = """\
node: {id: attic}
sources:
  - {id: street, type: file, path: /var/lib/earshot/street.wav, loop: true}
detection:
  operating_points:
    siren: {enter: 0.3, leave: 0.2, min_length_s: 0.5, bridging_s: 1, cooldown_s: 0}
clips: {store: disk, free_floor_mb: 1}
mqtt: {enabled: false}
"""

SHORT_WATCHDOG = "[Service]\nWatchdogSec=4\nRestartSec=1\n"

PROBE_UNIT = """\
[Service]
Type=oneshot
TimeoutStartSec=300
ExecStart=/probe
ExecStopPost=systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
"""

# Runs inside. The machine has no network: the upgrade takes its packages from /wheels.
PROBE = """\
#!/bin/sh
show() { systemctl show earshot-node --value --property "$1"; }
await_healthy() { until [ "$(show NRestarts)" = "$1" ] && show StatusText | grep -q healthy; do sleep 0.2; done; }
hears() { timeout 60 sh -c 'until ls /var/lib/earshot/clips/*.json; do sleep 0.5; done' >/dev/null 2>&1; }

await_healthy 0
hears && echo "clip on disk"
await_healthy 0
echo "fed NRestarts=$(show NRestarts) $(show StatusText)"
grep -E '^(Seccomp|NoNewPrivs|CapEff|Uid):' "/proc/$(show MainPID)/status"

kill -STOP "$(show MainPID)"
await_healthy 1
echo "frozen NRestarts=$(show NRestarts) $(show StatusText)"

export PIP_NO_INDEX=1 PIP_FIND_LINKS=/wheels
before="$(readlink /opt/earshot/venv)"
/broken/deploy/install.sh 2>&1 | sed 's/^/upgrade: /'
[ "$(readlink /opt/earshot/venv)" = "$before" ] && echo "same environment"
await_healthy 0
echo "after the upgrade: $(show ActiveState), $(ls /opt/earshot | wc -l) entries"
"""


@dataclass(frozen=True)
class Story:
    """What the probe and the node said, and the folder of the system, now off."""

    said: str
    log: str
    system: Path


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    """Install, boot, and let the probe do its work."""
    system = debian_folder(tmp_path_factory.mktemp("debian") / "root")
    done = run_beside(system, [REPOSITORY / "deploy/install.sh", "--root", system], timeout_s=600)
    assert done.returncode == 0, done.stderr
    (system / "etc/earshot/node.yaml").write_text(CONFIGURATION)
    write_street(system / "var/lib/earshot/street.wav")
    make_broken_checkout(system)
    units = system / "etc/systemd/system"
    (units / "earshot-node.service.d").mkdir()
    (units / "earshot-node.service.d/test.conf").write_text(SHORT_WATCHDOG)
    (units / "probe.service").write_text(PROBE_UNIT)
    (units / "multi-user.target.wants/probe.service").symlink_to("/etc/systemd/system/probe.service")
    (system / "probe").write_text(PROBE)
    (system / "probe").chmod(0o755)
    console = boot(system, timeout_s=420)
    return Story(journal(system, "probe") or console, journal(system, "earshot-node"), system)


def write_street(path: Path) -> None:
    """A siren for ten seconds, then ten of faint noise."""
    parameters = SirenParameters(SirenKind.WAIL, low_hz=600, high_hz=1350, period_s=4.0)
    street = np.random.default_rng(1).normal(0, 0.003, SAMPLE_RATE_HZ * 20)
    street[: SAMPLE_RATE_HZ * 10] += 0.3 * synthesize(parameters, 10.0)
    soundfile.write(path, street, SAMPLE_RATE_HZ)
    shutil.chown(path, path.parent.stat().st_uid)


def make_broken_checkout(system: Path) -> None:
    """Put a checkout whose service does not start to /broken, and all that its installation downloads to /wheels."""
    broken = system / "broken"
    for name in ("node", "trainer", "deploy"):
        shutil.copytree(REPOSITORY / name, broken / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(REPOSITORY / name, broken / name)
    command = broken / "node/earshot_node/cli/run.py"
    command.write_text(command.read_text() + '\nraise SystemExit("broken on purpose")\n')
    pip = ["/opt/earshot/venv/bin/python", "-m", "pip", "wheel", "--quiet", "--wheel-dir", "/wheels"]
    done = run_beside(system, ["chroot", system, *pip, "hatchling", "/broken[mic]"], timeout_s=600)
    assert done.returncode == 0, done.stderr


def journal(system: Path, unit: str) -> str:
    where = ["--directory", str(system / "var/log/journal"), "--no-pager", "--output=cat", "--unit", unit]
    return subprocess.run(["journalctl", *where], capture_output=True, text=True).stdout


def test_service_is_healthy_and_has_no_rights_to_spare(story: Story) -> None:
    assert "fed NRestarts=0 healthy" in story.said, story.log
    assert "NoNewPrivs:\t1" in story.said
    assert "Seccomp:\t2" in story.said
    assert "CapEff:\t0000000000000000" in story.said
    assert "Uid:\t0" not in story.said


def test_hardened_service_hears_a_siren_and_keeps_its_clip(story: Story) -> None:
    assert "clip on disk" in story.said, story.log
    clips = sorted((story.system / "var/lib/earshot/clips").glob("*.flac"))
    assert len(clips) > 0
    samples, sample_rate_hz = soundfile.read(clips[0])
    assert sample_rate_hz == SAMPLE_RATE_HZ
    assert np.sqrt(np.mean(samples**2)) > 0.02


def test_watchdog_ends_a_service_that_no_longer_decides(story: Story) -> None:
    assert "Watchdog timeout" in story.log
    assert "frozen NRestarts=1 healthy" in story.said, story.log


def test_upgrade_whose_service_does_not_start_leaves_the_former_version_running(story: Story) -> None:
    assert "broken on purpose" in story.log
    assert "upgrade: error: the service does not start" in story.said
    assert "upgrade: The installation failed; the former version is back." in story.said
    assert "same environment" in story.said
    assert "after the upgrade: active, 2 entries" in story.said
