"""A small Debian or Ubuntu in a folder, as this machine's own apt sources make it; needs root."""

import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

BASE_PACKAGES = ("ca-certificates", "python3", "gcc", "libc6-dev", "systemd-sysv", "dbus")
KEEP_BASE_DAYS = 14


def debian_folder(folder: Path) -> Path:
    """Unpack a fresh base system into `folder`; it is made once in two weeks and kept in the user's cache.

    Skips the test, with the reason, where none can be made.
    """
    for program, package in (("debootstrap", "debootstrap"), ("systemd-nspawn", "systemd-container")):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is missing; `sudo apt-get install {package}`, or run scripts/test as root")
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode != 0:
        pytest.skip("this root may not mount; run scripts/test as root on a machine, not in a container")
    archive = _base_archive()
    folder.mkdir(parents=True)
    subprocess.run(["tar", "-C", folder, "-xf", archive], check=True)
    for name in ("etc/resolv.conf", "etc/hosts", "etc/ssl/certs/ca-certificates.crt", "etc/pip.conf"):
        if Path("/", name).exists():
            shutil.copy(Path("/", name), folder / name)
    return folder


def run_beside(folder: Path, command: Sequence[str | Path], timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run a command of this machine while `folder` has /proc, which goes away with the command."""
    script = 'mount -t proc proc "$1/proc"; shift; exec "$@"'
    environ = {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}
    return subprocess.run(
        ["unshare", "--mount", "sh", "-c", script, "sh", folder, *command],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )


def boot(folder: Path, timeout_s: float) -> str:
    """Boot the system in `folder` with a network of its own until it powers off; return its console."""
    quiet = ("--register=no", "--keep-unit", "--console=pipe", "--private-network")
    done = subprocess.run(
        ["systemd-nspawn", "--boot", *quiet, "--directory", folder],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
    )
    return done.stdout


def _base_archive() -> Path:
    release = _os_release()
    suite = release.get("VERSION_CODENAME", "")
    mirror = _mirror(suite)
    components = "main,universe" if release.get("ID") == "ubuntu" else "main"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"
    archive = cache / f"base-{suite}-{len(BASE_PACKAGES)}.tar"
    if archive.exists() and time.time() - archive.stat().st_mtime < KEEP_BASE_DAYS * 86400:
        return archive
    cache.mkdir(parents=True, exist_ok=True)
    new = archive.with_suffix(".new")
    shutil.rmtree(new, ignore_errors=True)
    options = ("--variant=minbase", f"--components={components}", f"--include={','.join(BASE_PACKAGES)}")
    command = ["debootstrap", *options, suite, str(new), mirror]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=600)
    if done.returncode != 0:
        shutil.rmtree(new, ignore_errors=True)
        pytest.skip(f"debootstrap of {suite} failed, is the network up? {done.stdout.strip().splitlines()[-1:]}")
    shutil.rmtree(new / "var/cache/apt/archives", ignore_errors=True)
    partial = archive.with_suffix(".partial")
    subprocess.run(["tar", "-C", new, "-cf", partial, "."], check=True)
    partial.replace(archive)
    shutil.rmtree(new)
    return archive


def _os_release() -> dict[str, str]:
    lines = Path("/etc/os-release").read_text().splitlines()
    return {key: value.strip('"') for key, found, value in (line.partition("=") for line in lines) if found}


def _mirror(suite: str) -> str:
    """Return the first of this system's apt sources that has its release."""
    command = ["apt-get", "indextargets", "--format", "$(CODENAME) $(COMPONENT) $(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        if suite and line.startswith(f"{suite} main "):
            return line.split(" ", 2)[2]
    pytest.skip(f"apt has no source for {suite or 'this system'}; run `sudo apt-get update`, or use Debian or Ubuntu")
