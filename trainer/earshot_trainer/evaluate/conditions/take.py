"""What a condition works on, and what every one of them shares: levels and a microphone."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.synth.filters import Samples, rms_dbfs, scale

Mask = NDArray[np.bool_]

LEAD_S = 2.0
SOUND_S = 4.0
LEAD_SAMPLES = round(LEAD_S * SAMPLE_RATE_HZ)
TAKE_SAMPLES = round((LEAD_S + SOUND_S) * SAMPLE_RATE_HZ)

REFERENCE_DBFS = -25.0
"""Level of what is heard, wherever a condition is not about level: RMS where the sound sounds."""

SELF_NOISE_DBFS = -70.0
"""White self-noise, 45 dB below the reference: a microphone of 29 dB SPL equivalent noise that hears 74 dB SPL."""

_STEPS = 32768.0


@dataclass(frozen=True)
class Take:
    """One sound and the place where it may be heard; all arrays have `TAKE_SAMPLES` samples at 16 kHz.

    Attributes:
        sound: float32, zeros for `LEAD_S`, then the sound, then zeros.
        active: where the sound sounds.
        background: float32, a real background without the sound.
    """

    sound: Samples
    active: Mask
    background: Samples


Apply = Callable[[Take, np.random.Generator], Samples]


@dataclass(frozen=True)
class Condition:
    """One changed condition.

    Attributes:
        family: conditions of a family stand on one curve, or in one block of a table.
        name: tells it apart from all others.
        value: its place on the curve; None where the family has no number.
        unit: of `value`.
        apply: take and random generator to float32[TAKE_SAMPLES] as the node gets it; pure.
        missing: why it cannot be measured here; empty where it can.
    """

    family: str
    name: str
    value: float | None
    unit: str
    apply: Apply
    missing: str = ""


def active_dbfs(samples: Samples, active: Mask) -> float:
    """RMS level in dBFS over the samples where `active`."""
    return rms_dbfs(samples[active])


def to_level(samples: Samples, active: Mask, level_dbfs: float) -> Samples:
    """Scale so that the RMS where `active` is `level_dbfs`. Peaks may pass full scale."""
    return scale(samples, level_dbfs - active_dbfs(samples, active))


def self_noise(rng: np.random.Generator, count: int, level_dbfs: float = SELF_NOISE_DBFS) -> Samples:
    """White noise of `count` samples at `level_dbfs`."""
    return rng.standard_normal(count, dtype=np.float32) * np.float32(10.0 ** (level_dbfs / 20.0))


def quantize(samples: Samples) -> Samples:
    """Cut at full scale and round to 16 bits, as a sound card delivers."""
    return np.asarray(np.clip(np.rint(samples * _STEPS), -_STEPS, _STEPS - 1.0) / _STEPS, dtype=np.float32)


def record(samples: Samples, rng: np.random.Generator, noise_dbfs: float = SELF_NOISE_DBFS) -> Samples:
    """What a microphone with self-noise delivers in 16 bits."""
    return quantize(samples + self_noise(rng, len(samples), noise_dbfs))


def fit(samples: Samples, count: int = TAKE_SAMPLES) -> Samples:
    """Cut at the end, or pad with zeros, to `count` samples."""
    if len(samples) >= count:
        return np.asarray(samples[:count], dtype=np.float32)
    return np.pad(samples, (0, count - len(samples))).astype(np.float32)
