"""A trainer's home in a folder, and its real `trainer-cli serve` process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.home.folder import Home, create_home
from support.mosquitto import free_port
from support.waiting import wait_until

TRAINER = [sys.executable, "-m", "earshot_trainer"]


def make_home(folder: Path, *, broker_port: int = 1883, **settings: Any) -> Home:
    """Make a home whose trainer answers on a free port of this machine."""
    port = free_port()
    values = {
        "url": f"http://127.0.0.1:{port}",
        "serve": {"host": "127.0.0.1", "port": port},
        "mqtt": {"host": "127.0.0.1", "port": broker_port},
        **settings,
    }
    return create_home(folder, values)[0]


def members_of(home: Home) -> Members:
    """Its nodes and invites."""
    return Members(open_catalogue(home.catalogue_url))


def trainer_cli(home: Home, *arguments: str, timeout_s: float = 60) -> subprocess.CompletedProcess[str]:
    """Run a command on a home to its end."""
    return subprocess.run(
        [*TRAINER, *arguments], env=_environ(home), capture_output=True, text=True, timeout=timeout_s, check=False
    )


@contextmanager
def serving(home: Home) -> Iterator[Path]:
    """Let a `trainer-cli serve` process answer; its log is in the returned file."""
    log = home.folder.with_name("serve.log")
    with log.open("wb") as stream:
        process = subprocess.Popen([*TRAINER, "serve"], env=_environ(home), stdout=stream, stderr=stream)
    try:
        wait_until(lambda: "listening" in log.read_text() or process.poll() is not None, 240, "trainer-cli serve")
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.terminate()
        assert process.wait(60) == 0


def _environ(home: Home) -> dict[str, str]:
    return {**os.environ, "EARSHOT_HOME": str(home.folder), "PYTHONUNBUFFERED": "1"}
