"""FluidSynth plays a piece with the instruments of a SoundFont."""

from collections.abc import Callable, Iterator
from functools import partial
from operator import itemgetter
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError
from earshot_trainer.music.composing import Note, Part, Piece
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ

INSTALL = "try `apt install libfluidsynth3` and, in the checkout, `pip install '.[music]'`"
DRUM_CHANNEL, DRUM_BANK = 9, 128
VIBRATO, VOLUME, REVERB = 1, 7, 91
DATA, PARAMETER_LOW, PARAMETER_HIGH = 6, 100, 101
GAIN = 0.5
WHEEL_STEP_S = 0.02
"""How often the pitch wheel is turned in a glide."""
SETTLING_SAMPLES = SAMPLE_RATE_HZ
"""Echoes of the piece before die away in them."""
Samples = npt.NDArray[np.float32]


class SoundFontPlayer:
    """Plays pieces one after the other; use it in a `with` statement."""

    def __init__(self, soundfont: Path) -> None:
        """Load a file of instruments (`.sf2`, `.sf3`).

        Raises:
            OperatorError: FluidSynth is not installed, or cannot read the file.
        """
        try:
            from fluidsynth import Synth
        except ImportError as error:
            raise OperatorError(f"FluidSynth is missing ({error}); {INSTALL}") from error
        if not soundfont.is_file():
            raise OperatorError(f"there is no SoundFont {soundfont}; try `apt install fluid-soundfont-gm`")
        self._synth: Any = Synth(gain=GAIN, samplerate=float(SAMPLE_RATE_HZ))
        self._font: int = self._synth.sfload(str(soundfont))
        if self._font < 0:
            self._synth.delete()
            raise OperatorError(f"{soundfont} is no SoundFont that FluidSynth can read; try another .sf2 or .sf3 file")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._synth.delete()

    def play(self, piece: Piece) -> Samples:
        """float32 samples of the whole piece at 16 kHz, one channel; their level is the instruments'."""
        self._synth.system_reset()
        self._sound(SETTLING_SAMPLES)
        for channel, part in _channels(piece):
            self._set_up(channel, part)
        length = round(piece.seconds * SAMPLE_RATE_HZ)
        samples, done = np.zeros(length, dtype=np.float32), 0
        for time_s, _, call in sorted(self._events(piece), key=itemgetter(0, 1)):
            until = min(round(time_s * SAMPLE_RATE_HZ), length)
            samples[done:until] = self._sound(until - done)
            done = until
            call()
        samples[done:] = self._sound(length - done)
        return samples

    def _set_up(self, channel: int, part: Part) -> None:
        bank, program = (DRUM_BANK, 0) if part.program is None else (0, part.program)
        self._synth.program_select(channel, self._font, bank, program)
        for controller, value in ((VOLUME, part.volume), (REVERB, part.reverb), (VIBRATO, part.vibrato)):
            self._synth.cc(channel, controller, value)
        self._set_wheel_range(channel, part.wheel_semitones)

    def _set_wheel_range(self, channel: int, semitones: int) -> None:
        """Registered parameter 0 of General MIDI."""
        for controller, value in ((PARAMETER_HIGH, 0), (PARAMETER_LOW, 0), (DATA, semitones)):
            self._synth.cc(channel, controller, value)

    def _events(self, piece: Piece) -> Iterator[tuple[float, int, Callable[[], Any]]]:
        """When, in which order at the same time, and what to do: releases come before presses."""
        synth = self._synth
        for channel, part in _channels(piece):
            for note in part.notes:
                yield note.end_s, 0, partial(synth.noteoff, channel, note.key)
                yield note.start_s, 1, partial(synth.pitch_bend, channel, 0)
                yield note.start_s, 2, partial(synth.noteon, channel, note.key, note.velocity)
                for time_s, turn in _wheel(note):
                    yield time_s, 1, partial(synth.pitch_bend, channel, turn)

    def _sound(self, count: int) -> Samples:
        if count == 0:
            return np.zeros(0, dtype=np.float32)
        stereo = self._synth.get_samples(count).reshape(count, 2)
        return np.asarray(stereo.mean(axis=1) / 32768.0, dtype=np.float32)


def _wheel(note: Note) -> Iterator[tuple[float, int]]:
    """When the pitch wheel is turned in a note, and where to."""
    gliding_s = note.glide_end_s - note.start_s
    steps = max(1, round(gliding_s / WHEEL_STEP_S)) if note.glide else 0
    for step in range(1, steps + 1):
        yield min(note.start_s + gliding_s * step / steps, note.end_s), round(note.glide * step / steps)


def _channels(piece: Piece) -> Iterator[tuple[int, Part]]:
    for number, part in enumerate(piece.parts):
        yield (DRUM_CHANNEL if part.program is None else number), part
