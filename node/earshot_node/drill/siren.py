"""The siren of a drill: a yelp, the same every time, of the kind that models hear surest.

Little code and memory, for it is made in a running node.
"""

from typing import Final

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples

LENGTH_S: Final = 8.0
_LOW_HZ: Final = 700.0
_HIGH_HZ: Final = 1600.0
_PERIOD_S: Final = 0.35
_FADE_S: Final = 0.5
_PIECE_SAMPLES: Final = 8_000
_HARMONICS: Final = (1.0, 0.6, 0.35, 0.2, 0.1)
"""Amplitudes: bright enough for a horn, and all of them below half the sample rate."""


def drill_siren(level_dbfs: float) -> Samples:
    """Return LENGTH_S at 16 kHz whose root mean square is `level_dbfs`."""
    siren = np.empty(round(LENGTH_S * SAMPLE_RATE_HZ), np.float32)
    phase = 0.0
    for begin in range(0, len(siren), _PIECE_SAMPLES):  # in pieces, which need little memory
        piece = siren[begin : begin + _PIECE_SAMPLES]
        times_s = np.arange(begin, begin + len(piece)) / SAMPLE_RATE_HZ
        rising = 1.0 - np.abs(2.0 * (times_s / _PERIOD_S % 1.0) - 1.0)
        turns = _LOW_HZ * (_HIGH_HZ / _LOW_HZ) ** rising * (2.0 * np.pi / SAMPLE_RATE_HZ)
        phases = phase + np.cumsum(turns)
        phase = float(phases[-1])
        tone = sum(amplitude * np.sin(number * phases) for number, amplitude in enumerate(_HARMONICS, start=1))
        piece[:] = tone * np.minimum(1.0, np.minimum(times_s, LENGTH_S - times_s) / _FADE_S)
    level = float(np.sqrt(np.dot(siren, siren) / len(siren)))
    siren *= np.float32(10.0 ** (level_dbfs / 20.0) / level)
    return siren
