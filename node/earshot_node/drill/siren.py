"""The siren of a drill: a wail from a horn down the street, the same every time."""

from typing import Final

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.synth.acoustics import echo_response, reverberate
from earshot_node.synth.filters import fade_edges, set_level
from earshot_node.synth.harmonics import Horn, Timbre
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize

LENGTH_S: Final = 8.0
_FADE_S: Final = 0.5
_SEED: Final = 7


def drill_siren(level_dbfs: float) -> Samples:
    """Return LENGTH_S at 16 kHz whose root mean square is `level_dbfs`."""
    parameters = SirenParameters(
        SirenKind.WAIL,
        600.0,
        1450.0,
        period_s=3.2,
        rise_share=0.5,
        timbre=Timbre(duty=0.3, tilt_db_per_octave=-2.0, harmonics=16, drive=0.5),
        horn=Horn(low_hz=500.0, high_hz=4000.0, low_order=2, resonances=((1400.0, 4.0), (2600.0, 3.0))),
        seed=_SEED,
    )
    echo = echo_response(np.random.default_rng(_SEED), SAMPLE_RATE_HZ, reverberation_s=0.9, reverberant_db=-4.0)
    heard = fade_edges(reverberate(synthesize(parameters, LENGTH_S), echo), SAMPLE_RATE_HZ, _FADE_S)
    return set_level(heard, level_dbfs)
