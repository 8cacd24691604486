"""Plain takes, levels, real backgrounds and wind."""

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.synth.filters import Samples, rms_dbfs, scale, set_level
from earshot_node.synth.weather import wind
from earshot_trainer.evaluate.conditions.take import (
    LEAD_SAMPLES,
    REFERENCE_DBFS,
    TAKE_SAMPLES,
    Take,
    active_dbfs,
    record,
    to_level,
)


def as_recorded(take: Take, rng: np.random.Generator) -> Samples:
    """The sound at the level of its file."""
    return record(take.sound, rng)


def at_level(take: Take, rng: np.random.Generator, level_dbfs: float = REFERENCE_DBFS) -> Samples:
    """The sound alone at a level, over self-noise."""
    return record(to_level(take.sound, take.active, level_dbfs), rng)


def background_alone(take: Take, rng: np.random.Generator) -> Samples:
    """No sound at all, the background at the reference level: what is found here is a false alarm."""
    level_dbfs = rms_dbfs(take.background[LEAD_SAMPLES:])
    return record(scale(take.background, REFERENCE_DBFS - level_dbfs), rng)


def at_snr(take: Take, rng: np.random.Generator, snr_db: float) -> Samples:
    """The sound in its real background, see `mix_at`; the mix at the reference level."""
    mixed = mix_at(take, take.background, snr_db)
    return record(to_level(mixed, take.active, REFERENCE_DBFS), rng)


def in_wind(take: Take, rng: np.random.Generator, snr_db: float) -> Samples:
    """The sound in synthetic wind at the microphone, see `mix_at`; the mix at the reference level."""
    mixed = mix_at(take, wind(rng, TAKE_SAMPLES, SAMPLE_RATE_HZ), snr_db)
    return record(to_level(mixed, take.active, REFERENCE_DBFS), rng)


def mix_at(take: Take, background: Samples, snr_db: float) -> Samples:
    """Sound plus background.

    `snr_db` is the sound's RMS where it sounds over the background's RMS from the sound's onset to the take's end.
    The sound is left as it is. Raises ValueError for a silent background.
    """
    level_dbfs = active_dbfs(take.sound, take.active)
    under_dbfs = rms_dbfs(background[LEAD_SAMPLES:])
    if not np.any(background[LEAD_SAMPLES:]):
        raise ValueError("the background is silent; an SNR against it means nothing")
    return take.sound + scale(background, level_dbfs - snr_db - under_dbfs)


def mains_hum(take: Take, rng: np.random.Generator, level_dbfs: float) -> Samples:
    """The sound over 50 Hz hum and its odd harmonics to 450 Hz, `level_dbfs` in all."""
    time_s = np.arange(TAKE_SAMPLES) / SAMPLE_RATE_HZ
    parts = [np.sin(2.0 * np.pi * (50.0 * n * time_s + rng.random())) / n for n in (1, 3, 5, 7, 9)]
    hum = set_level(np.sum(parts, axis=0), level_dbfs)
    return record(to_level(take.sound, take.active, REFERENCE_DBFS) + hum, rng)
