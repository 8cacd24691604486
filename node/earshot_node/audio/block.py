"""What every source delivers, whatever it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ = 16_000
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Block:
    """Consecutive 16 kHz mono samples of one stream of one source.

    Attributes:
        source: the source's id.
        stream: counts the openings of the source from 0; a new number means that audio was lost in between.
        start_sample: position of the first sample in its stream.
        samples: float32[n], full scale is 1.0.
        end_wall_s: Unix time of the last sample.
        end_monotonic_s: `time.monotonic()` of the last sample.
        last: the stream ends with this block (a file's end).
    """

    source: str
    stream: int
    start_sample: int
    samples: Samples
    end_wall_s: float
    end_monotonic_s: float
    last: bool = False

    @property
    def end_sample(self) -> int:
        """Position after the last sample."""
        return self.start_sample + len(self.samples)
