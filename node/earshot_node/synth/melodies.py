"""Music-like traps: melodies with vibrato, chords, whistled glides."""

import numpy as np

from earshot_node.synth.filters import Samples, slow_noise
from earshot_node.synth.harmonics import Timbre, oscillate
from earshot_node.synth.notes import envelope, held_envelope, place, vibrato

MAJOR_SEMITONES = (0, 2, 4, 5, 7, 9, 11, 12)
CHORD_SEMITONES = ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 4, 9), (0, 4, 7, 11))


def melody(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """A tune in a major scale on one instrument, with vibrato, notes of 0.15 to 0.8 s."""
    base_hz = float(rng.uniform(220.0, 660.0))
    timbre = Timbre(duty=float(rng.uniform(0.1, 0.5)), tilt_db_per_octave=float(rng.uniform(-9.0, -2.0)), harmonics=12)
    rate_hz, depth = float(rng.uniform(4.0, 7.0)), float(rng.uniform(0.0, 0.015))
    plucked = bool(rng.uniform() < 0.4)
    total = np.zeros(samples, dtype=np.float32)
    at, degree = 0, int(rng.integers(len(MAJOR_SEMITONES)))
    while at < samples:
        step = int(rng.choice([0.15, 0.2, 0.3, 0.4, 0.6, 0.8]) * sample_rate_hz)
        degree = int(np.clip(degree + rng.integers(-3, 4), 0, len(MAJOR_SEMITONES) - 1))
        pitch_hz = base_hz * 2.0 ** (MAJOR_SEMITONES[degree] / 12.0)
        swing_hz = vibrato(step, sample_rate_hz, pitch_hz, rate_hz, depth)
        shape = envelope(step, sample_rate_hz, 0.005, 0.25) if plucked else held_envelope(step, sample_rate_hz, 0.03)
        place(total, (oscillate(swing_hz, sample_rate_hz, timbre) * shape).astype(np.float32), at)
        at += step
    return total


def chords(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Chords of an organ or strings, one every 0.5 to 2 s, each voice slightly out of tune."""
    base_hz = float(rng.uniform(130.0, 330.0))
    timbre = Timbre(duty=float(rng.uniform(0.15, 0.5)), tilt_db_per_octave=float(rng.uniform(-8.0, -2.0)), harmonics=12)
    rate_hz, depth = float(rng.uniform(4.0, 6.5)), float(rng.uniform(0.0, 0.01))
    total = np.zeros(samples, dtype=np.float32)
    at = 0
    while at < samples:
        length = int(rng.uniform(0.5, 2.0) * sample_rate_hz)
        shape = held_envelope(length, sample_rate_hz, float(rng.uniform(0.02, 0.2)))
        root_hz = base_hz * 2.0 ** (int(rng.choice([0, 5, 7, 9, 2])) / 12.0)
        for semitone in CHORD_SEMITONES[int(rng.integers(len(CHORD_SEMITONES)))]:
            pitch_hz = root_hz * 2.0 ** (semitone / 12.0) * float(rng.normal(1.0, 0.001))
            voice = vibrato(length, sample_rate_hz, pitch_hz, rate_hz, depth, float(rng.uniform()))
            place(total, (oscillate(voice, sample_rate_hz, timbre) * shape).astype(np.float32), at)
        at += length
    return total


def whistle_glide(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Somebody whistles: a nearly pure tone that slides between notes, 0.8 to 2.5 kHz, with breath."""
    total = np.zeros(samples, dtype=np.float32)
    at = int(rng.uniform(0.0, 0.4) * sample_rate_hz)
    while at < samples:
        length = int(rng.uniform(0.3, 1.2) * sample_rate_hz)
        start_hz, end_hz = float(rng.uniform(800.0, 2200.0)), float(rng.uniform(800.0, 2500.0))
        curve = 0.5 - 0.5 * np.cos(np.pi * np.arange(length) / length)
        pitch_hz = start_hz * (end_hz / start_hz) ** curve
        pitch_hz = pitch_hz * (1.0 + 0.004 * slow_noise(rng, length, sample_rate_hz, 15.0))
        note = oscillate(pitch_hz, sample_rate_hz, Timbre(duty=0.5, tilt_db_per_octave=-24.0, harmonics=3))
        breath = rng.standard_normal(length).astype(np.float32) * np.float32(0.03)
        place(total, ((note + breath) * held_envelope(length, sample_rate_hz, 0.05)).astype(np.float32), at)
        at += length + int(rng.uniform(0.05, 0.8) * sample_rate_hz)
    return total
