"""What events are made of: the parts of recordings in which something sounds, and synthesized alarms."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.errors import AudioFileError
from earshot_trainer.corpus.activity import active_frames
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import HOP_SAMPLES
from earshot_trainer.segments.alarms import alarm_indoors


class Sound(Protocol):
    """What an event is made of: so many samples at 16 kHz, read or rendered when they are needed."""

    @property
    def samples(self) -> int:
        """How many there are."""

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types that say where they are from."""

    def read(self) -> NDArray[np.float32]:
        """Return them: float32[samples], the caller's own."""


@dataclass(frozen=True, slots=True)
class Piece:
    """`samples` samples of a recording from `begin_sample` on, at 16 kHz."""

    recording: Recording
    begin_sample: int
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"source": self.recording.source, "name": self.recording.name, "begin_sample": self.begin_sample,
                "samples": self.samples}  # fmt: skip

    def read(self) -> NDArray[np.float32]:
        """Read it as the node reads files: float32[samples]. Memory is bounded by the piece, not by the file.

        Raises:
            AudioFileError: the file cannot be read, or ends before.
        """
        return _read(self).copy()


@dataclass(frozen=True, slots=True)
class AlarmPiece:
    """`samples` samples of a synthesized alarm (`segments.alarms`) at 16 kHz, drawn from `seed`."""

    signal: str
    seed: tuple[int, ...]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"signal": self.signal, "seed": list(self.seed), "samples": self.samples}

    def read(self) -> NDArray[np.float32]:
        """Render it: float32[samples]."""
        return alarm_indoors(self.signal, np.random.default_rng(self.seed), self.samples / SAMPLE_RATE_HZ)


@lru_cache(maxsize=16)
def _read(piece: Piece) -> NDArray[np.float32]:
    """Kept for a moment: the same soundscape follows at the next SNR."""
    parts: list[NDArray[np.float32]] = []
    position, end = 0, piece.begin_sample + piece.samples
    for block in read_audio_file(piece.recording.path):
        parts.append(block[max(0, piece.begin_sample - position) : max(0, end - position)])
        position += len(block)
        if position >= end:
            return np.concatenate(parts)
    path = str(piece.recording.path)
    raise AudioFileError(f"{path}: ends after {position / SAMPLE_RATE_HZ:.1f} s, before what was planned", path)


@lru_cache(maxsize=10_000)
def find_pieces(recording: Recording, range_db: float, bridged_s: float, least_s: float) -> tuple[Piece, ...]:
    """Return the parts of a recording within `range_db` of its loudest, in order.

    Gaps up to `bridged_s` do not part them; those shorter than `least_s` are dropped.

    Raises:
        AudioFileError: the file cannot be read.
    """
    samples = np.concatenate(list(read_audio_file(recording.path)))
    runs = bridged_runs(active_frames(to_int16(samples), range_db), int(bridged_s * SAMPLE_RATE_HZ / HOP_SAMPLES))
    pieces = []
    for first, last in runs:
        begin, end = first * HOP_SAMPLES, min(last * HOP_SAMPLES, len(samples))
        if end - begin >= least_s * SAMPLE_RATE_HZ:
            pieces.append(Piece(recording, begin, end - begin))
    return tuple(pieces)


def bridged_runs(active: NDArray[np.bool_], bridged_frames: int) -> list[tuple[int, int]]:
    """Return (first frame, frame after the last) of every run of true frames; short gaps belong to the run."""
    frames = np.flatnonzero(active)
    if not len(frames):
        return []
    breaks = np.flatnonzero(np.diff(frames) > bridged_frames + 1)
    first = frames[np.concatenate(([0], breaks + 1))]
    last = frames[np.concatenate((breaks, [len(frames) - 1]))]
    return [(int(a), int(b) + 1) for a, b in zip(first, last, strict=True)]


def order_as_recorded(recordings: Iterable[Recording]) -> list[Recording]:
    """Sort by source and name, numbers in names by value, so that clips of one recording follow each other."""

    def key(recording: Recording) -> tuple[str, list[tuple[int, str]]]:
        parts = re.split(r"(\d+)", recording.name)
        return recording.source, [(int(part), "") if part.isdecimal() else (-1, part) for part in parts]

    return sorted(recordings, key=key)
