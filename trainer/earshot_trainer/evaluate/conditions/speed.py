"""Vehicles under way, and sounds played faster or slower."""

from collections.abc import Callable

import numpy as np
import soxr

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.synth.acoustics import SPEED_OF_SOUND_M_S, Passage, travel
from earshot_node.synth.filters import Samples
from earshot_trainer.evaluate.conditions.take import (
    LEAD_S,
    LEAD_SAMPLES,
    REFERENCE_DBFS,
    SOUND_S,
    TAKE_SAMPLES,
    Take,
    fit,
    record,
    to_level,
)

LATERAL_M = 10.0
KM_H_PER_M_S = 3.6
_LATE_SAMPLES = SAMPLE_RATE_HZ  # room for sound that is still under way at the end


def passage_at(speed_km_h: float) -> Passage:
    """A vehicle that passes `LATERAL_M` aside in the middle of the take's sound."""
    return Passage(speed_km_h / KM_H_PER_M_S, LATERAL_M, closest_s=LEAD_S + SOUND_S / 2.0)


def passing_by(take: Take, rng: np.random.Generator, speed_km_h: float) -> Samples:
    """The sound from a passing vehicle: Doppler, spreading, air; at the reference level over its whole length."""
    passage = passage_at(speed_km_h)
    heard = hear_passage(take.sound, passage, lambda sent: travel(sent, SAMPLE_RATE_HZ, passage))
    return record(to_level(heard, take.active, REFERENCE_DBFS), rng)


def hear_passage(sound: Samples, passage: Passage, carry: Callable[[Samples], Samples]) -> Samples:
    """Carry a take's sound to the microphone and take away the delay that it has at its onset."""
    delay_s = float(passage.distance_m(np.array([LEAD_S]))[0]) / SPEED_OF_SOUND_M_S
    heard = carry(np.pad(sound, (0, _LATE_SAMPLES)))
    return fit(heard[round(delay_s * SAMPLE_RATE_HZ) :])


def at_speed(take: Take, rng: np.random.Generator, factor: float) -> Samples:
    """The sound `factor` times as fast and as high, at the reference level; a slower one is cut at the take's end."""
    played = soxr.resample(take.sound[LEAD_SAMPLES:], SAMPLE_RATE_HZ * factor, SAMPLE_RATE_HZ)
    moved = fit(np.concatenate([take.sound[:LEAD_SAMPLES], played]), TAKE_SAMPLES)
    position = LEAD_SAMPLES + (np.arange(TAKE_SAMPLES) - LEAD_SAMPLES) * factor
    inside = (position >= LEAD_SAMPLES) & (position < TAKE_SAMPLES)
    active = inside & take.active[np.clip(position.astype(np.int64), 0, TAKE_SAMPLES - 1)]
    return record(to_level(moved, active, REFERENCE_DBFS), rng)
