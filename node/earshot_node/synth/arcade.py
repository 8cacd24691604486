"""Sounds of video games that are no music: jumps, lasers, coins, power-ups, blips, explosions."""

from collections.abc import Callable

import numpy as np

from earshot_node.synth.filters import Samples, Track
from earshot_node.synth.harmonics import Timbre, oscillate
from earshot_node.synth.notes import envelope, place

Effect = Callable[[np.random.Generator, int], Track]


def game_effects(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Effects of one game, every 0.2 to 1.5 s: a pulse or triangle wave whose pitch jumps, climbs or falls."""
    timbre = Timbre(duty=float(rng.choice([0.125, 0.25, 0.5])), harmonics=int(rng.choice([4, 20])))
    effects = [EFFECTS[int(index)] for index in rng.integers(len(EFFECTS), size=3)]
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.4) * sample_rate_hz)
    while at < samples:
        pitch_hz = effects[int(rng.integers(len(effects)))](rng, sample_rate_hz)
        shape = envelope(len(pitch_hz), sample_rate_hz, 0.002, float(rng.uniform(0.1, 0.5)))
        place(total, (oscillate(pitch_hz, sample_rate_hz, timbre) * shape).astype(np.float32), at)
        if rng.uniform() < 0.15:
            length = int(rng.uniform(0.2, 0.8) * sample_rate_hz)
            held = int(rng.integers(2, 20))  # samples a random value lasts: the lower, the brighter
            noise = rng.uniform(-0.7, 0.7, length // held + 1).repeat(held)[:length]
            place(total, (noise * envelope(length, sample_rate_hz, 0.002, 0.15)).astype(np.float32), at)
        at += int(rng.uniform(0.2, 1.5) * sample_rate_hz)
    return total


def _slide(rng: np.random.Generator, sample_rate_hz: int) -> Track:
    """A jump (up) or a laser (down): one glide over one to three octaves."""
    length = int(rng.uniform(0.08, 0.5) * sample_rate_hz)
    start_hz, octaves = float(rng.uniform(200.0, 1500.0)), float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.7, 3.0))
    return np.asarray(np.clip(start_hz * 2.0 ** (octaves * np.arange(length) / length), 60.0, 4000.0))


def _coin(rng: np.random.Generator, sample_rate_hz: int) -> Track:
    """Two tones, the second longer and a fourth to an octave higher."""
    low_hz, first = float(rng.uniform(500.0, 1200.0)), int(rng.uniform(0.05, 0.1) * sample_rate_hz)
    second = int(rng.uniform(0.2, 0.6) * sample_rate_hz)
    return np.repeat([low_hz, low_hz * float(rng.choice([4 / 3, 1.5, 2.0]))], [first, second])


def _power_up(rng: np.random.Generator, sample_rate_hz: int) -> Track:
    """A run of a broken chord, climbing or falling, quick enough to blur."""
    steps = np.array([0, 4, 7, 12, 16, 19, 24])[: int(rng.integers(3, 8))]
    pitch_hz = float(rng.uniform(200.0, 700.0)) * 2.0 ** (np.tile(steps, int(rng.integers(1, 4))) / 12.0)
    if rng.uniform() < 0.3:
        pitch_hz = pitch_hz[::-1]
    return np.repeat(pitch_hz, int(rng.uniform(0.02, 0.08) * sample_rate_hz))


def _warble(rng: np.random.Generator, sample_rate_hz: int) -> Track:
    """A saucer: a quick vibrato of half an octave, for less than a second."""
    length = int(rng.uniform(0.2, 0.9) * sample_rate_hz)
    swing = np.sin(2.0 * np.pi * float(rng.uniform(8.0, 25.0)) * np.arange(length) / sample_rate_hz)
    return np.asarray(float(rng.uniform(300.0, 1500.0)) * 2.0 ** (0.25 * swing))


def _blip(rng: np.random.Generator, sample_rate_hz: int) -> Track:
    """A menu's or a text's beep."""
    return np.full(int(rng.uniform(0.03, 0.1) * sample_rate_hz), float(rng.uniform(300.0, 2500.0)))


EFFECTS: tuple[Effect, ...] = (_slide, _coin, _power_up, _warble, _blip)
