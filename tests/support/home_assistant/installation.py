"""Installs Home Assistant for tests; a second time costs nothing.

python -m support.home_assistant.installation 2026.9
"""

import fcntl
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from support.home_assistant.chroot import make_chroot
from support.home_assistant.place import InstallError, Place, find_place, own_python
from support.home_assistant.releases import RELEASES, Release

INTEGRATIONS = (
    "api", "assist_pipeline", "automation", "camera", "config", "demo", "hassio", "history", "logbook", "mobile_app",
    "mqtt", "onboarding", "recorder", "template", "websocket_api",
)  # fmt: skip

LIST_REQUIREMENTS = """
import json, pathlib, sys, homeassistant
from homeassistant import bootstrap
folder = pathlib.Path(homeassistant.__file__).parent / "components"
wanted = {*sys.argv[1:], *bootstrap.CORE_INTEGRATIONS, *bootstrap.DEFAULT_INTEGRATIONS, "logger", "network", "http"}
wanted |= {"system_log", "isal"}
seen, found = set(), set()
while wanted:
    name = wanted.pop()
    seen.add(name)
    path = folder / name / "manifest.json"
    if path.exists():
        manifest = json.loads(path.read_text())
        found |= set(manifest.get("requirements", []))
        wanted |= set(manifest.get("dependencies", [])) - seen
print("\\n".join(sorted(found)))
"""


def install(release: Release) -> Place:
    """Return the place where `release` is installed; install it if it is not.

    Raises:
        InstallError: it cannot be installed here; the text says why.
    """
    place = find_place(release)
    with _alone(place.folder):
        if not place.stamp.exists():
            _install(place)
    return place


def _install(place: Place) -> None:
    began_s = time.monotonic()
    release = place.release
    if place.root is None:
        shutil.rmtree(place.folder / "venv", ignore_errors=True)
        _run(place, str(own_python(release)), "-m", "venv", place.venv)
    else:
        make_chroot(release.suite, place.root)
        place.work.mkdir(exist_ok=True)
        _run(place, "/usr/bin/python3", "-m", "venv", place.venv)
    place.work.mkdir(exist_ok=True)
    python = place.venv / "bin/python"
    _say(f"installing Home Assistant {release.version} into {place.folder} ...")
    _run(place, python, "-m", "pip", "install", "--quiet", "--no-cache-dir", "uv")
    _pip(place, f"homeassistant=={release.version}")
    listed = _run(place, python, "-c", LIST_REQUIREMENTS, *INTEGRATIONS).split()
    replaced = dict(release.wheels)
    wanted = [line for line in listed if line.partition("==")[0] not in replaced]
    constraints = next(
        place.outside(place.venv).glob("lib/python3*/site-packages/homeassistant/package_constraints.txt")
    )
    inside = place.venv / constraints.relative_to(place.outside(place.venv))
    _pip(place, *wanted, "--constraint", str(inside))
    _pip(place, "--only-binary", ":all:", *replaced.values())
    place.stamp.write_text(f"{release.version}\n")
    _say(f"Home Assistant {release.version} is installed after {time.monotonic() - began_s:.0f} s")


def _pip(place: Place, *words: str) -> None:
    overrides = place.work / "overrides.txt"
    overrides.write_text("\n".join(place.release.overrides) + "\n")
    python = place.venv / "bin/python"
    options = ["--quiet", "--no-cache", "--link-mode=copy", "--overrides", str(place.inside(overrides))]
    _run(place, place.venv / "bin/uv", "pip", "install", "--python", python, *options, *words)


def _run(place: Place, *words: str | Path) -> str:
    done = subprocess.run(
        place.command(*words),
        env=place.environ(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        end = (done.stderr or done.stdout).strip().splitlines()[-12:]
        raise InstallError(f"{Path(words[0]).name} failed, is the network up?\n" + "\n".join(end))
    return done.stdout


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time install."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def main(names: Sequence[str]) -> int:
    """Install the named releases."""
    try:
        for name in names:
            install(RELEASES[name])
    except InstallError as error:
        _say(f"error: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
