"""A Debian with nothing but Python in a folder; needs root and a Debian mirror."""

import os
import shutil
import subprocess
from pathlib import Path

from support.home_assistant.place import CERTIFICATES, InstallError

PACKAGES = (
    "base-files", "libc6", "libc-bin", "dash", "coreutils", "python3", "python3-venv", "libstdc++6", "libturbojpeg0",
    "ca-certificates", "tzdata", "netbase",
)  # fmt: skip
MIRROR_VARIABLE = "EARSHOT_DEBIAN_MIRROR"


def make_chroot(suite: str, root: Path) -> None:
    """Unpack a Debian `suite` into `root`, in place of what is there.

    Packages are extracted only, none of their scripts runs.

    Raises:
        InstallError: with the reason.
    """
    if shutil.which("mmdebstrap") is None:
        raise InstallError("mmdebstrap is missing; `sudo apt-get install mmdebstrap debian-archive-keyring`")
    mirror = _mirror()
    shutil.rmtree(root, ignore_errors=True)
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--include={','.join(PACKAGES)}"]
    # A mirror's snapshot of a suite in development is soon "expired"; its signatures are checked all the same.
    command += ['--aptopt=Acquire::Check-Valid-Until "false"', suite, str(root), mirror]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise InstallError(f"mmdebstrap of {suite} failed, is the network up?\n{done.stderr[-1000:]}")
    subprocess.run(["chroot", str(root), "ldconfig"], check=True, capture_output=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n")
    for path in (Path("/etc/resolv.conf"), CERTIFICATES, Path("/etc/pip.conf")):
        if path.exists():
            copy = root / path.relative_to("/")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


def _mirror() -> str:
    """Return the Debian mirror to take packages from: the named one, or the one that this system's apt uses."""
    named = os.environ.get(MIRROR_VARIABLE)
    if named:
        return named
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    for line in subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines():
        if line.rstrip("/").endswith("/debian"):
            return line
    raise InstallError(f"apt has no Debian mirror here; name one: {MIRROR_VARIABLE}=http://.../debian")
