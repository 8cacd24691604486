"""Sounds whose colour slides while nothing in them has a pitch of its own: risers, whooshes, flangers, arpeggios.

A siren is one voice that slides. These are many at once, noise or a quick figure of notes, that slide together.
"""

from collections.abc import Callable

import numpy as np

from earshot_node.synth.filters import Samples, Track, fast_length
from earshot_node.synth.harmonics import Timbre, oscillate
from earshot_node.synth.notes import envelope, place

Gain = Callable[[Track, float], Track]
"""Of frequencies in Hz, with the filter moved by so many octaves."""
WINDOW_S = 0.064
CHORDS = ((0, 4, 7), (0, 3, 7), (0, 5, 7), (0, 3, 6, 9), (0, 4, 7, 11), (0, 2, 7), (0, 7))


def swept_noise(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Noise through a filter that slides: a few broad resonances, or a flanger's blunt comb; a riser, a jet, a whoosh.

    The comb never rests: a row of steady lines is how a siren with two tones sounds from behind many houses.
    """
    noise = rng.standard_normal(samples)
    if rng.uniform() < 0.4:
        octaves = _glide(rng, samples)
        lowest_hz, depth = float(rng.uniform(80.0, 900.0)), float(rng.uniform(0.5, 0.85))

        def gain(hertz: Track, octave: float) -> Track:
            # Magnitude of a feedback comb 1 / (1 - g z^-d), its teeth at the multiples of one frequency.
            phase = 2.0 * np.pi * hertz / (lowest_hz * 2.0**octave)
            return np.asarray((1.0 - depth) / np.sqrt(1.0 - 2.0 * depth * np.cos(phase) + depth**2))
    else:
        octaves = _slide(rng, samples)
        count = int(rng.integers(1, 4))
        centres = np.sort(rng.uniform(np.log2(200.0), np.log2(2500.0), count))
        widths = rng.uniform(0.15, 0.6, count)

        def gain(hertz: Track, octave: float) -> Track:
            place_octaves = np.log2(np.maximum(hertz, 1.0))[:, None] - centres - octave
            return np.asarray(np.exp(-0.5 * (place_octaves / widths) ** 2).sum(axis=1))

    swept = _filtered(noise, octaves, sample_rate_hz, gain)
    floor = float(rng.uniform(0.0, 0.1)) * rng.standard_normal(samples)
    return np.asarray(swept / max(1e-9, float(swept.std())) + floor, dtype=np.float32)


def sliding_arpeggio(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Broken chords of 6 to 30 notes a second over one to three octaves, all transposed by one slide."""
    octaves = _slide(rng, samples)
    timbre = Timbre(duty=float(rng.uniform(0.1, 0.5)), harmonics=int(rng.integers(3, 24)))
    chord = CHORDS[int(rng.integers(len(CHORDS)))]
    steps = np.concatenate([np.array(chord) + 12 * octave for octave in range(int(rng.integers(1, 4)))])
    if rng.uniform() < 0.5:
        steps = np.concatenate([steps, steps[-2:0:-1]])
    root_hz, spacing = float(rng.uniform(90.0, 500.0)), sample_rate_hz / float(rng.uniform(6.0, 30.0))
    ringing = float(rng.uniform(1.0, 6.0))  # how many notes sound at a time
    drawn = rng.uniform() < 0.3
    total = np.zeros(samples, dtype=np.float32)
    for number in range(int(samples / spacing)):
        at = int(number * spacing)
        step = steps[int(rng.integers(len(steps)))] if drawn else steps[number % len(steps)]
        length = min(samples - at, int(spacing * ringing))
        pitch_hz = np.clip(root_hz * 2.0 ** (step / 12.0 + octaves[at : at + length]), 40.0, 6000.0)
        shape = envelope(length, sample_rate_hz, 0.003, float(rng.uniform(0.05, 0.2)))
        place(total, (oscillate(pitch_hz, sample_rate_hz, timbre) * shape).astype(np.float32), at)
    return total


def _slide(rng: np.random.Generator, samples: int) -> Track:
    """By how many octaves everything is transposed: one glide from end to end, or held and gliding in turns."""
    if rng.uniform() < 0.3:
        return _glide(rng, samples)
    legs = int(rng.integers(1, 5))
    times = np.concatenate([[0.0], np.sort(rng.uniform(0.0, samples, 2 * legs)), [samples]])
    levels = np.repeat(np.cumsum(rng.uniform(-1.5, 1.5, legs + 1)), 2)
    return np.asarray(np.clip(np.interp(np.arange(samples), times, levels), -2.5, 2.5))


def _glide(rng: np.random.Generator, samples: int) -> Track:
    """From none to somewhere within two and a half octaves, at one pace."""
    return np.linspace(0.0, float(rng.choice([-1.0, 1.0])) * float(rng.uniform(0.7, 2.5)), samples)


def _filtered(noise: Track, octaves: Track, sample_rate_hz: int, gain: Gain) -> Track:
    """Noise in overlapping windows, each with the filter as it stands in its middle."""
    size = fast_length(round(WINDOW_S * sample_rate_hz))
    hop = size // 4
    window = np.hanning(size + 1)[:-1]
    hertz = np.fft.rfftfreq(size, 1.0 / sample_rate_hz).astype(np.float64)
    total = np.zeros(len(noise) + 2 * size)
    padded = np.pad(noise, size)
    for start in range(0, len(noise) + size, hop):
        octave = float(octaves[min(len(octaves) - 1, max(0, start - size // 2))])
        shaped = np.fft.irfft(np.fft.rfft(padded[start : start + size] * window) * gain(hertz, octave), size)
        total[start : start + size] += shaped * window
    return total[size : size + len(noise)]
