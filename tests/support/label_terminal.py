"""`trainer-cli` as a person sees it: in a terminal, with keys."""

import os
import pty
import select
import subprocess
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from earshot_trainer.home.folder import Home
from support.trainer_home import TRAINER


def label_terminal(
    home: Home, *words: str, silent: bool = True
) -> AbstractContextManager[tuple[int, subprocess.Popen[bytes]]]:
    """A `trainer-cli label` process in a terminal of its own."""
    return trainer_terminal(home, "label", *(["--silent"] if silent else []), *words)


@contextmanager
def trainer_terminal(home: Home, *words: str) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A `trainer-cli` process in a terminal of its own."""
    ours, theirs = pty.openpty()
    environ = {**os.environ, "EARSHOT_HOME": str(home.folder), "TERM": "vt100", "COLUMNS": "80", "LINES": "30"}
    process = subprocess.Popen([*TRAINER, *words], stdin=theirs, stdout=theirs, stderr=theirs, env=environ)
    os.close(theirs)
    try:
        yield ours, process
    finally:
        process.kill()
        process.wait()
        os.close(ours)


def read_until(descriptor: int, text: str, timeout_s: float = 60) -> str:
    """What the terminal shows until `text`."""
    seen, deadline = "", time.monotonic() + timeout_s
    while text not in seen and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 1)[0]:
            try:
                seen += os.read(descriptor, 65_536).decode(errors="replace").replace("\N{NO-BREAK SPACE}", " ")
            except OSError:
                break
    assert text in seen, seen[-2000:]
    return seen
