"""The installer in a Debian in a folder."""

import shutil
import stat
import subprocess
from pathlib import Path

import pytest
from support.debian import debian_folder, run_beside

pytestmark = [pytest.mark.root, pytest.mark.slow, pytest.mark.timeout(900)]

CONFIGURATION = """\
node: {id: attic}
sources:
  - {id: noise, type: file, path: /var/lib/earshot/noise.wav, loop: true}
mqtt: {enabled: false}
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


def checkout_copy(installer: Path, folder: Path) -> Path:
    """Copy what the installer needs of the checkout."""
    checkout = installer.parents[1]
    for name in ("node", "trainer", "deploy"):
        shutil.copytree(checkout / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(checkout / name, folder / name)
    return folder


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


def test_step_that_fails_ends_the_installation_and_changes_nothing(
    installed: Path, installer: Path, tmp_path: Path
) -> None:
    checkout = checkout_copy(installer, tmp_path / "checkout")
    (checkout / "LICENSE").unlink()
    before = sorted((installed / "opt/earshot").iterdir())
    done = install(installed, checkout / "deploy/install.sh")
    assert done.returncode == 1
    assert "LICENSE" in done.stderr
    assert "nothing was changed" in done.stderr.splitlines()[-1]
    assert sorted((installed / "opt/earshot").iterdir()) == before


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
