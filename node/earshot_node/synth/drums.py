"""A drum kit for music.py: three sounds and patterns of sixteenths that repeat."""

import numpy as np

from earshot_node.synth.filters import Samples, high_pass_gain, low_pass_gain, shape_spectrum
from earshot_node.synth.notes import place
from earshot_node.synth.score import Piece

KICKS = ("x...x...x...x...", "x.....x.x.......", "x...x..x..x.x...", "x.......x.x.....")
SNARES = ("....x.......x...", "....x..x.x..x...", "........x.......", "....x.......x.xx")
HATS = ("x.x.x.x.x.x.x.x.", "xxxxxxxxxxxxxxxx", "..x...x...x...x.", "x..x..x.x..x..x.")


def drum_loop(
    rng: np.random.Generator, piece: Piece, bars: int, offset_s: float, samples: int, sample_rate_hz: int
) -> Samples:
    """A loop of one bar, with a chip's noise instead of a kit's in one piece out of three."""
    chip = bool(rng.uniform() < 0.35)
    kit = (_kick(rng, sample_rate_hz), _snare(rng, sample_rate_hz, chip), _hat(rng, sample_rate_hz, chip))
    patterns = tuple(choices[int(rng.integers(len(choices)))] for choices in (KICKS, SNARES, HATS))
    gains = (1.0, float(rng.uniform(0.4, 0.9)), float(rng.uniform(0.1, 0.35)))
    total = np.zeros(samples, dtype=np.float32)
    for bar in range(bars):
        for sixteenth in range(16):
            at = round((offset_s + bar * piece.bar_s + sixteenth * 0.25 * piece.beat_s) * sample_rate_hz)
            for drum, pattern, gain in zip(kit, patterns, gains, strict=True):
                if pattern[sixteenth] == "x":
                    place(total, drum, at, gain * float(rng.uniform(0.85, 1.0)))
    return total


def _kick(rng: np.random.Generator, sample_rate_hz: int) -> Samples:
    time_s = np.arange(int(0.25 * sample_rate_hz)) / sample_rate_hz
    low_hz, drop_hz = float(rng.uniform(42.0, 65.0)), float(rng.uniform(80.0, 250.0))
    cycles = low_hz * time_s - drop_hz * 0.03 * np.exp(-time_s / 0.03)
    return np.asarray(np.sin(2.0 * np.pi * cycles) * np.exp(-time_s / 0.08), dtype=np.float32)


def _snare(rng: np.random.Generator, sample_rate_hz: int, chip: bool) -> Samples:
    time_s = np.arange(int(0.22 * sample_rate_hz)) / sample_rate_hz
    noise = _chip_noise(rng, len(time_s), 4) if chip else rng.standard_normal(len(time_s))
    skin = np.sin(2.0 * np.pi * float(rng.uniform(160.0, 240.0)) * time_s)
    return np.asarray((0.5 * noise + (0.0 if chip else 0.6) * skin) * np.exp(-time_s / 0.06), dtype=np.float32)


def _hat(rng: np.random.Generator, sample_rate_hz: int, chip: bool) -> Samples:
    length = int(0.12 * sample_rate_hz)
    decay = np.exp(-np.arange(length) / (float(rng.uniform(0.015, 0.05)) * sample_rate_hz))
    noise = _chip_noise(rng, length, 1) if chip else rng.standard_normal(length)
    return shape_spectrum(noise * decay, sample_rate_hz, lambda hz: high_pass_gain(hz, 4000.0, 2))


def _chip_noise(rng: np.random.Generator, samples: int, hold_samples: int) -> Samples:
    """One random bit, held for some samples: the noise of a shift register."""
    bits = rng.integers(0, 2, samples // hold_samples + 1).repeat(hold_samples)[:samples]
    return np.asarray(2.0 * bits - 1.0, dtype=np.float32)


def riser(rng: np.random.Generator, length_s: float, sample_rate_hz: int) -> Samples:
    """Noise that swells and brightens, as before a refrain."""
    length = max(1, int(length_s * sample_rate_hz))
    noise = rng.standard_normal(length).astype(np.float32)
    dull = shape_spectrum(noise, sample_rate_hz, lambda hz: low_pass_gain(hz, 1200.0, 2))
    share = (np.arange(length) / length).astype(np.float32)
    return np.asarray((dull * (1.0 - share) + noise * share) * share**2 * 0.5, dtype=np.float32)
