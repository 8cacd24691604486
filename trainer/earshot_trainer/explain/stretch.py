"""A stretch of a recording as the node hears it: samples, posteriors, and the model's state where it begins."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.errors import OperatorError
from earshot_node.inference.model import ModelState, StreamingModel

PEAK_AT = 0.7
"""Where in the stretch the highest posterior lies when nobody said which stretch: most of what led to it is before."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A stretch of a recording.

    Attributes:
        begin_s: where it begins; a whole number of hops.
        samples: float32[hops * hop_samples] at 16 kHz.
        state: the model's, having heard everything before.
        posteriors: float32[hops, labels].
    """

    begin_s: float
    samples: Samples
    state: ModelState
    posteriors: NDArray[np.float32]

    @property
    def duration_s(self) -> float:
        """Its length."""
        return len(self.samples) / SAMPLE_RATE_HZ


def find_peak(model: StreamingModel, path: Path, column: int) -> float:
    """Return when the posterior in `column` is highest, in seconds.

    Raises:
        AudioFileError: the file cannot be read.
        OperatorError: it is shorter than one hop.
    """
    state = model.initial_state()
    peak_s, position_s, best = 0.0, 0.0, -1.0
    for samples in _whole_hops(path, model.manifest.hop_samples):
        output = model.run(samples[None], [state])
        state = output.states[0]
        row = output.posteriors[0, :, column]
        if row.max() > best:
            best = float(row.max())
            peak_s = position_s + (int(row.argmax()) + 1) * model.manifest.hop_s
        position_s += len(samples) / SAMPLE_RATE_HZ
    if best < 0:
        raise OperatorError(f"{path}: shorter than one frame of {model.manifest.hop_s:g} s; name a longer recording")
    return peak_s


def hear_stretch(model: StreamingModel, path: Path, begin_s: float, seconds: float) -> Stretch:
    """Hear the file from its beginning, and keep `seconds` from `begin_s` on, as far as it goes.

    Raises:
        AudioFileError: the file cannot be read.
        OperatorError: it ends before.
    """
    hop_samples = model.manifest.hop_samples
    begin = int(max(0.0, begin_s) * SAMPLE_RATE_HZ) // hop_samples * hop_samples
    wanted = round(seconds * SAMPLE_RATE_HZ) // hop_samples * hop_samples
    state = model.initial_state()
    position, kept = 0, [np.zeros(0, np.float32)]
    for samples in _whole_hops(path, hop_samples):
        before = samples[: max(0, begin - position)]
        if len(before):
            state = model.run(before[None], [state]).states[0]
        kept.append(samples[len(before) : max(0, begin + wanted - position)])
        position += len(samples)
        if position >= begin + wanted:
            break
    heard = np.concatenate(kept)
    if not len(heard):
        raise OperatorError(f"{path}: ends at {position / SAMPLE_RATE_HZ:.2f} s; choose --at before that")
    output = model.run(heard[None], [state])
    return Stretch(begin / SAMPLE_RATE_HZ, heard, state, output.posteriors[0])


def _whole_hops(path: Path, hop_samples: int) -> Iterator[Samples]:
    """Yield the file's audio in pieces of whole hops; a rest that fills no hop is dropped, as a node does."""
    rest = np.zeros(0, np.float32)
    for block in read_audio_file(path):
        joined = np.concatenate([rest, block])
        whole = len(joined) // hop_samples * hop_samples
        rest = joined[whole:]
        if whole:
            yield joined[:whole]
