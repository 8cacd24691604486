"""A program that plays sound files, as far as anybody can tell: it keeps what it is given and stays until told off."""

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from support.waiting import wait_until

_SCRIPT = """#!/bin/sh
PATH=/usr/bin:/bin
cd '{folder}' || exit 9
for file; do :; done
trap 'echo silenced >> log; exit 0' TERM
cp "$file" copying
mv copying "heard-$(ls | grep -c '^heard-').wav"
echo "plays ${{*%"$file"}}" >> log
{then}
"""
PLAYS_ON = "while :; do sleep 0.05; done"
FAILS = "echo 'ALSA lib pcm.c' >&2; echo 'no sound card here' >&2; exit 1"


class SoundProgram:
    """A program in a folder of its own, for the search path.

    Args:
        folder: existing and empty.
        name: of the program.
        then: what it does after it has begun to play.
    """

    def __init__(self, folder: Path, name: str, then: str = PLAYS_ON) -> None:
        self.path = folder / "bin"
        self.path.mkdir()
        self._folder = folder
        program = self.path / name
        program.write_text(_SCRIPT.format(folder=folder, then=then))
        program.chmod(0o755)

    @property
    def log(self) -> list[str]:
        """What it did, in order: `plays` with the words before the file, `silenced`."""
        path = self._folder / "log"
        return [line.rstrip() for line in path.read_text().splitlines()] if path.exists() else []

    def wait_for(self, lines: int) -> list[str]:
        """Return its log as soon as it has so many lines."""
        wait_until(lambda: len(self.log) >= lines, 60, f"{lines} lines: {self.log}")
        return self.log

    def heard(self, number: int) -> NDArray[np.float32]:
        """Return the samples of what it played first (0), second, ..."""
        samples, rate_hz = soundfile.read(self._folder / f"heard-{number}.wav", dtype="float32")
        assert rate_hz == 16_000
        return np.asarray(samples, np.float32)
