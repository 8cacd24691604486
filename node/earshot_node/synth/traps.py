"""Sounds of a street and a home that resemble a siren and must not alarm.

    samples, name = random_trap(rng, duration_s=4.0)          # float32, peak-normalised
    samples = synthesize_trap("car_horn", rng, duration_s=4.0)

Every generator fills `samples` values at `sample_rate_hz`; a trap may be silent in places.
"""

from collections.abc import Callable

import numpy as np

from earshot_node.synth.alarms import home_alarm
from earshot_node.synth.animals import baby_cry, bird_chirps, dog_bark, howl
from earshot_node.synth.arcade import game_effects
from earshot_node.synth.filters import Samples, fade_edges, peak_normalise
from earshot_node.synth.machines import (
    car_horn,
    chainsaw,
    doorbell,
    electric_motor,
    engine,
    horn_chord,
    reversing_beeper,
    ringtone,
    telephone,
)
from earshot_node.synth.melodies import chords, melody, whistle_glide
from earshot_node.synth.music import random_music
from earshot_node.synth.sweeps import sliding_arpeggio, swept_noise
from earshot_node.synth.weather import traffic, wind

SAMPLE_RATE_HZ = 16000


def _music(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """An excerpt of a piece in a random style; music.py also gives the style."""
    return random_music(rng, samples / sample_rate_hz, sample_rate_hz)[0]


TRAPS: dict[str, Callable[[np.random.Generator, int, int], Samples]] = {
    "car_horn": car_horn,
    "wind": wind,
    "traffic": traffic,
    "melody": melody,
    "chords": chords,
    "whistle_glide": whistle_glide,
    "reversing_beeper": reversing_beeper,
    "ringtone": ringtone,
    "telephone": telephone,
    "chainsaw": chainsaw,
    "engine": engine,
    "dog_bark": dog_bark,
    "baby_cry": baby_cry,
    "bird_chirps": bird_chirps,
    "doorbell": doorbell,
    "music": _music,
    "game_effects": game_effects,
    "home_alarm": home_alarm,
    "horn_chord": horn_chord,
    "electric_motor": electric_motor,
    "howl": howl,
    "swept_noise": swept_noise,
    "sliding_arpeggio": sliding_arpeggio,
}


def synthesize_trap(
    name: str, rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> Samples:
    """One trap by name: float32[duration_s * sample_rate_hz], largest magnitude 0.99.

    Raises ValueError for an unknown name, or a duration or sample rate that is not positive.
    """
    if name not in TRAPS:
        raise ValueError(f"unknown trap {name!r}: one of {', '.join(TRAPS)}")
    if duration_s <= 0.0 or sample_rate_hz <= 0:
        raise ValueError(f"duration {duration_s} s at {sample_rate_hz} Hz: both must be positive")
    samples = TRAPS[name](rng, max(1, round(duration_s * sample_rate_hz)), sample_rate_hz)
    return peak_normalise(fade_edges(samples, sample_rate_hz, 0.005))


def random_trap(
    rng: np.random.Generator, duration_s: float, sample_rate_hz: int = SAMPLE_RATE_HZ
) -> tuple[Samples, str]:
    """A random trap and its name, all kinds equally likely."""
    name = list(TRAPS)[int(rng.integers(len(TRAPS)))]
    return synthesize_trap(name, rng, duration_s, sample_rate_hz), name
