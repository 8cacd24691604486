"""Notes on a timeline: envelopes and placing short sounds in a longer signal."""

import numpy as np

from earshot_node.synth.filters import Samples, Track
from earshot_node.synth.harmonics import Timbre, oscillate


def envelope(samples: int, sample_rate_hz: int, attack_s: float, decay_s: float) -> Track:
    """Rises over `attack_s`, then falls to 1/e in `decay_s`; ends at zero over the last 5 ms."""
    time_s = np.arange(samples) / sample_rate_hz
    rise = np.clip(time_s / max(attack_s, 1e-4), 0.0, 1.0)
    fall = np.exp(-np.maximum(time_s - attack_s, 0.0) / decay_s)
    release = np.clip((samples / sample_rate_hz - time_s) / 0.005, 0.0, 1.0)
    return np.asarray(rise * fall * release)


def held_envelope(samples: int, sample_rate_hz: int, ramp_s: float) -> Track:
    """Full level with straight ramps of `ramp_s` at both ends."""
    time_s = np.arange(samples) / sample_rate_hz
    left_s = samples / sample_rate_hz - time_s
    return np.asarray(np.clip(np.minimum(time_s, left_s) / max(ramp_s, 1e-4), 0.0, 1.0))


def vibrato(
    samples: int, sample_rate_hz: int, pitch_hz: float, rate_hz: float, depth: float, start_cycles: float = 0.0
) -> Track:
    """A pitch that swings by the relative `depth`, `rate_hz` times a second."""
    cycles = np.arange(samples) * (rate_hz / sample_rate_hz) + start_cycles
    return np.asarray(pitch_hz * (1.0 + depth * np.sin(2.0 * np.pi * cycles)))


def place(target: Samples, sound: Samples, at: int, gain: float = 1.0) -> None:
    """Add `sound` into `target` from index `at`; what hangs over either end is lost."""
    first, last = max(at, 0), min(at + len(sound), len(target))
    if first < last:
        target[first:last] += np.float32(gain) * sound[first - at : last - at]


def tone(pitch_hz: float, samples: int, sample_rate_hz: int, timbre: Timbre, shape: Track) -> Samples:
    """A note of constant pitch with an envelope."""
    return (oscillate(np.full(samples, pitch_hz), sample_rate_hz, timbre) * shape).astype(np.float32)
