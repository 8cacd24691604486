"""What a stage is: a function over one run, timed, told to people, stamped when all that it made is there."""

import resource
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rich.console import Console

from earshot_trainer.evaluate.console import say
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining.run_folder import STAGES, RunFolder, StageName, Stamp, command_of

EXIT_STOPPED: Final = 4
"""The gate said no."""


@dataclass
class Stage:
    """One stage at work.

    Attributes:
        exit_code: not 0 ends the round after this stage.
        skipped: why there was nothing to do.
        partly: what was left undone; the round goes on without it.
    """

    home: Home
    run: RunFolder
    console: Console
    wrote: list[Path] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    exit_code: int = 0
    skipped: str = ""
    partly: str = ""

    def read(self, text: str) -> None:
        """Tell what was read."""
        self._tell(f"read   {text}")

    def write(self, path: Path, text: str = "", *, changes: bool = False) -> None:
        """Tell what was written; the stamp holds its hash, unless a later stage `changes` it."""
        if not changes:
            self.wrote.append(path)
        self._tell(f"wrote  {path}{f': {text}' if text else ''}")

    def kept(self, text: str) -> None:
        """Tell what was written outside the run's folder; no stamp holds its hash."""
        self._tell(f"wrote  {text}")

    def note(self, text: str) -> None:
        """Tell something else."""
        self._tell(f"note   {text}")

    def _tell(self, text: str) -> None:
        self.said.append(text)
        say(self.console, text)


Work = Callable[[Stage], None]


def run_stage(
    home: Home, run: RunFolder, name: StageName, work: Work, console: Console, *, say_next: bool = True
) -> int:
    """Run one stage, stamp it, print the next command; returns its exit code."""
    stage = Stage(home, run, console)
    wall_s, cpu_s = time.monotonic(), _cpu_s()
    work(stage)
    stamp = run.finish(
        name,
        stage.wrote,
        stage.said,
        round(time.monotonic() - wall_s, 2),
        round(_cpu_s() - cpu_s, 2),
        stage.skipped,
        stage.partly,
    )
    say(console, f"time   {time_line(stamp)}")
    following = STAGES[STAGES.index(name) + 1 :]
    if say_next and following and not stage.exit_code:
        say(console, f"next: {command_of(following[0], run)}, or all that is left: trainer-cli retrain")
    return stage.exit_code


def time_line(stamp: Stamp) -> str:
    """Return how long a stage took, for people."""
    return f"{stamp.wall_s:.1f} s, {stamp.cpu_s:.1f} s of processors"


def _cpu_s() -> float:
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime
