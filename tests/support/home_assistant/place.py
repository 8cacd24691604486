"""Where a Home Assistant is installed: on this machine's own Python where that will do, else in a chroot.

A chroot is needed where no Python that is new enough is installed, and a chroot needs root.
"""

import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.home_assistant.releases import Release

CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
CACHE_VARIABLE = "EARSHOT_HOME_ASSISTANT_CACHE"


class InstallError(Exception):
    """Home Assistant cannot be installed here; the text says why and what to do."""


@dataclass(frozen=True)
class Place:
    """A folder that holds one release.

    Attributes:
        folder: everything of it.
        root: of the chroot; None without one.
    """

    release: Release
    folder: Path
    root: Path | None

    @property
    def venv(self) -> Path:
        """The virtual environment, as programs inside see it."""
        return Path("/opt/ha") if self.root is not None else self.folder / "venv"

    @property
    def work(self) -> Path:
        """Folder for instances and temporary files, as this process sees it."""
        return (self.root or self.folder) / "work"

    @property
    def stamp(self) -> Path:
        """Exists when the installation is complete."""
        return self.folder / "installed"

    def inside(self, path: Path) -> Path:
        """Return a path below `work` as programs inside see it."""
        return path if self.root is None else Path("/") / path.relative_to(self.root)

    def outside(self, path: Path) -> Path:
        """Return a path that programs inside know, as this process sees it."""
        return path if self.root is None else self.root / path.relative_to("/")

    def command(self, *words: str | Path) -> list[str]:
        """Return the command that runs a program inside."""
        chroot = [] if self.root is None else ["chroot", str(self.root)]
        return [*chroot, *map(str, words)]

    def environ(self) -> dict[str, str]:
        """Return the environment for programs inside; of this process's own, proxies and certificates alone."""
        home = self.inside(self.work)
        path = [str(self.venv / "bin"), "/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin"]
        fixed = {"PATH": ":".join(path), "HOME": str(home), "LANG": "C.UTF-8", "TZ": "UTC", "TMPDIR": str(home)}
        certificates = {"SSL_CERT_FILE": str(CERTIFICATES), "UV_SYSTEM_CERTS": "true"} if CERTIFICATES.exists() else {}
        return (
            fixed
            | certificates
            | {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
        )


def cache_folder() -> Path:
    """Return the folder of all installations; a release takes 1.2 GB."""
    named = os.environ.get(CACHE_VARIABLE)
    if named:
        return Path(named).resolve()
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot" / "home-assistant"


def find_place(release: Release) -> Place:
    """Return where `release` is, or is to be installed.

    Raises:
        InstallError: it can be had neither way.
    """
    folder = cache_folder() / release.version
    if own_python(release) is not None:
        return Place(release, folder, None)
    if os.geteuid() != 0:
        needed = ".".join(map(str, release.python))
        raise InstallError(
            f"Home Assistant {release.version} needs Python {needed} or newer, which is not installed;"
            f" install {release.interpreter}, or run this as root, which makes a chroot that has it"
        )
    return Place(release, folder, folder / "root")


def own_python(release: Release) -> str | None:
    """Return this machine's Python that is new enough, None if there is none."""
    program = shutil.which(release.interpreter)
    code = f"import ensurepip, sys; sys.exit(sys.version_info < {release.python})"
    return program if program is not None and _succeeds([program, "-c", code]) else None


def _succeeds(command: Sequence[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
