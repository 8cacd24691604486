"""The latest audio of one stream, addressed by sample position."""

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import Samples

Pcm = NDArray[np.int16]


class SampleRing:
    """Keeps the last `capacity_samples` samples of a stream as int16.

    Args:
        capacity_samples: how many samples are kept.
    """

    def __init__(self, capacity_samples: int) -> None:
        self._data: Pcm = np.zeros(capacity_samples, np.int16)
        self._begin = 0
        self.end_sample = 0

    @property
    def begin_sample(self) -> int:
        """Position of the oldest sample that is kept."""
        return max(self._begin, self.end_sample - len(self._data))

    def restart(self, start_sample: int = 0) -> None:
        """Forget everything; the next sample has position `start_sample`."""
        self._begin = self.end_sample = start_sample

    def append(self, samples: Samples) -> None:
        """Add the samples that follow on, float32[n] of full scale 1.0; what exceeds it is limited."""
        kept = samples[-len(self._data) :]
        first = self.end_sample + len(samples) - len(kept)
        pcm = np.clip(kept * 32768.0, -32768, 32767).astype(np.int16)
        at = first % len(self._data)
        head = min(len(pcm), len(self._data) - at)
        self._data[at : at + head] = pcm[:head]
        self._data[: len(pcm) - head] = pcm[head:]
        self.end_sample += len(samples)

    def read(self, begin_sample: int, end_sample: int) -> tuple[int, Pcm]:
        """Return the part of [begin_sample, end_sample) that is still kept, and the position of its first sample."""
        begin = max(begin_sample, self.begin_sample)
        end = min(end_sample, self.end_sample)
        if end <= begin:
            return begin, np.zeros(0, np.int16)
        at, stop = begin % len(self._data), end % len(self._data)
        if at < stop:
            return begin, self._data[at:stop].copy()
        return begin, np.concatenate((self._data[at:], self._data[:stop]))
