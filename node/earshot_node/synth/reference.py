"""Short synthesized clips for a bundle's self-test, quantised to 16 bits.

Everything is fixed: the same code gives the same bits on one machine, and at most one step of
quantisation off on another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earshot_node.synth.acoustics import echo_response, reverberate
from earshot_node.synth.filters import Samples, set_level
from earshot_node.synth.harmonics import Horn, Timbre
from earshot_node.synth.sirens import SAMPLE_RATE_HZ, SirenKind, SirenParameters, synthesize
from earshot_node.synth.traps import synthesize_trap
from earshot_node.synth.weather import traffic

SIREN_DBFS = -20.0
TRAFFIC_DBFS = -38.0
PCM_FULL_SCALE = 32768.0


@dataclass(frozen=True)
class ReferenceClip:
    """A clip of 16-bit samples at SAMPLE_RATE_HZ, and whether it holds a siren."""

    name: str
    pcm: NDArray[np.int16]
    is_siren: bool

    @property
    def samples(self) -> Samples:
        """The clip as float32, full scale 1.0; exactly what the 16-bit file holds."""
        return (self.pcm.astype(np.float32) / np.float32(PCM_FULL_SCALE)).astype(np.float32)


HORN = Horn(low_hz=500.0, high_hz=4000.0, low_order=2, resonances=((1400.0, 4.0), (2600.0, 3.0)))
BRIGHT = Timbre(duty=0.3, tilt_db_per_octave=-2.0, harmonics=16, drive=0.5)
BRASS = Timbre(duty=0.18, tilt_db_per_octave=0.0, harmonics=24, drive=0.5)
SIRENS = (
    SirenParameters(SirenKind.WAIL, 600.0, 1450.0, period_s=3.2, rise_share=0.5, timbre=BRIGHT, horn=HORN, seed=11),
    SirenParameters(SirenKind.YELP, 600.0, 1450.0, period_s=0.32, rise_share=0.5, timbre=BRIGHT, horn=HORN, seed=12),
    SirenParameters(SirenKind.HILO, 440.0, 586.7, period_s=1.1, rise_share=0.01, timbre=BRASS, horn=HORN, seed=13),
)
SIREN_S = (4.0, 3.0, 4.0)
TRAP_S = 4.0


def reference_clips() -> tuple[ReferenceClip, ...]:
    """Wail, yelp, two-tone and a horn in traffic, all over the same kind of traffic noise."""
    clips = []
    for parameters, duration_s in zip(SIRENS, SIREN_S, strict=True):
        siren = synthesize(parameters, duration_s)
        clips.append(ReferenceClip(str(parameters.kind), _in_street(siren, SIREN_DBFS, parameters.seed), True))
    horn = synthesize_trap("car_horn", np.random.default_rng(14), TRAP_S)
    clips.append(ReferenceClip("traffic_and_horn", _in_street(horn, SIREN_DBFS - 8.0, 14), False))
    return tuple(clips)


def _in_street(samples: Samples, level_dbfs: float, seed: int) -> NDArray[np.int16]:
    rng = np.random.default_rng([seed, 1])
    heard = reverberate(samples, echo_response(rng, SAMPLE_RATE_HZ, reverberation_s=0.9, reverberant_db=-4.0))
    road = set_level(traffic(rng, len(samples), SAMPLE_RATE_HZ), TRAFFIC_DBFS)
    mixed = set_level(heard, level_dbfs) + road
    return np.asarray(np.clip(np.rint(mixed * PCM_FULL_SCALE), -32768, 32767), dtype=np.int16)
