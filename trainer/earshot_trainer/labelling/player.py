"""Lets a recording be heard, if this machine has a program for it."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import soundfile

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples

PROGRAMS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (
    ("paplay", ("paplay",)),
    ("aplay", ("aplay", "-q")),
    ("ffplay", ("ffplay", "-nodisp", "-autoexit", "-loglevel", "error")),
)
_NOTHING: Final[tuple[str, tuple[str, ...]]] = ("", ())
_LOUDEST: Final = 0.5
_MOST_GAIN: Final = 30.0


class Player:
    """Plays one recording at a time, quiet ones louder; use as a context.

    Attributes:
        program: what plays; '' if there is nothing.
    """

    def __init__(self) -> None:
        self.program, self._words = next((one for one in PROGRAMS if shutil.which(one[0])), _NOTHING)
        self._folder = tempfile.TemporaryDirectory(prefix="earshot-")
        self._process: subprocess.Popen[bytes] | None = None

    def play(self, samples: Samples) -> None:
        """Begin to play float32[n] at 16 kHz, in place of what plays."""
        self.stop()
        if not self.program:
            return
        path = Path(self._folder.name) / "recording.wav"
        gain = min(_MOST_GAIN, _LOUDEST / max(1e-6, float(np.abs(samples).max(initial=0.0))))
        soundfile.write(path, (samples * gain).clip(-1, 1), SAMPLE_RATE_HZ, subtype="PCM_16")
        self._process = subprocess.Popen(
            [*self._words, str(path)], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    def problem(self) -> str:
        """Return why nothing is heard, one line; '' as far as is known."""
        process = self._process
        if process is None or process.poll() in (None, 0) or process.stderr is None:
            return ""
        with process.stderr:
            said = process.stderr.read(2000).decode(errors="replace").strip().splitlines()
        self.program, self._process = "", None
        return f"cannot play here: {said[-1] if said else 'the player ended at once'}"

    def stop(self) -> None:
        """Be silent."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            process.communicate()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._folder.cleanup()
