"""A band-limited harmonic oscillator that follows a frequency track without a break of phase."""

from dataclasses import dataclass

import numpy as np

from earshot_node.synth.filters import (
    Samples,
    Track,
    high_pass_gain,
    low_pass_gain,
    resonance_gain,
    shape_spectrum,
)

FADING_SHARE_OF_RATE = 0.44  # above this share of the sample rate a harmonic fades,
FADED_SHARE_OF_RATE = 0.47  # and here it is gone
INAUDIBLE = 1e-4
BLOCK_SAMPLES = 4096


@dataclass(frozen=True)
class Timbre:
    """Amplitudes of the harmonics of a pulse wave, and how hard the amplifier is driven.

    `duty` is the pulse's share of a period (0.5 is a square wave: odd harmonics only), `tilt_db_per_octave`
    lowers higher harmonics further, `drive` is the soft clipping (0 none, 3 strong).
    """

    duty: float = 0.5
    tilt_db_per_octave: float = 0.0
    harmonics: int = 16
    drive: float = 0.5

    def amplitude(self, number: int) -> float:
        """Amplitude of harmonic `number` (1 is the fundamental), from the pulse wave's Fourier series."""
        pulse = abs(float(np.sin(np.pi * number * self.duty))) / number
        return pulse * float(10.0 ** (self.tilt_db_per_octave * np.log2(number) / 20.0))


@dataclass(frozen=True)
class Horn:
    """Band response of a horn loudspeaker: a band-pass with two resonances."""

    low_hz: float = 500.0
    high_hz: float = 4000.0
    low_order: int = 2
    resonances: tuple[tuple[float, float], ...] = ()  # (centre_hz, gain_db)

    @classmethod
    def random(cls, rng: np.random.Generator) -> "Horn":
        """A plausible vehicle loudspeaker."""
        resonances = tuple((float(rng.uniform(600, 3500)), float(rng.uniform(-5, 7))) for _ in range(3))
        return cls(
            low_hz=float(rng.uniform(300, 650)),
            high_hz=float(rng.uniform(2500, 6000)),
            low_order=int(rng.integers(1, 4)),
            resonances=resonances,
        )

    def gain(self, frequency_hz: Track) -> Track:
        """Amplitude response at each frequency."""
        gain = high_pass_gain(frequency_hz, self.low_hz, self.low_order)
        gain = gain * low_pass_gain(frequency_hz, self.high_hz, 2)
        for centre_hz, gain_db in self.resonances:
            gain = gain * resonance_gain(frequency_hz, centre_hz, gain_db, 0.25)
        return gain

    def radiate(self, samples: Samples, sample_rate_hz: int) -> Samples:
        """The signal after the horn."""
        grid_hz = np.linspace(0.0, sample_rate_hz / 2.0, 1024)
        gain = self.gain(grid_hz)
        return shape_spectrum(samples, sample_rate_hz, lambda hz: np.interp(hz, grid_hz, gain))


def oscillate(frequency_hz: Track, sample_rate_hz: int, timbre: Timbre, start_cycles: float = 0.0) -> Samples:
    """Harmonic tone along `frequency_hz` (one value a sample): float32, about 1 in amplitude.

    The phase is the running sum of the frequency, so jumps of frequency make no click. Harmonics that
    would pass half the sample rate fade out below it.
    """
    cycles = np.cumsum(frequency_hz) / sample_rate_hz + start_cycles
    total = np.empty(len(frequency_hz), dtype=np.float32)
    for first in range(0, len(total), BLOCK_SAMPLES):  # blocks stay in the processor's cache
        part = slice(first, first + BLOCK_SAMPLES)
        total[part] = _sum_harmonics(cycles[part], frequency_hz[part] / sample_rate_hz, timbre)
    return total


def _sum_harmonics(cycles: Track, share_of_rate: Track, timbre: Timbre) -> Track:
    """Sum of a_k cos(2 pi k cycles), by the recurrence cos((k+1)x) = 2 cos(x) cos(kx) - cos((k-1)x)."""
    current = np.cos((2.0 * np.pi) * (cycles % 1.0))
    doubled = 2.0 * current
    previous = np.ones_like(current)
    total = np.zeros_like(current)
    lowest, highest = float(np.min(share_of_rate)), float(np.max(share_of_rate))
    for number in range(1, timbre.harmonics + 1):
        if number * lowest >= FADED_SHARE_OF_RATE:
            break
        amplitude = timbre.amplitude(number)
        if number * highest > FADING_SHARE_OF_RATE:
            room = (FADED_SHARE_OF_RATE - number * share_of_rate) / (FADED_SHARE_OF_RATE - FADING_SHARE_OF_RATE)
            total += amplitude * np.clip(room, 0.0, 1.0) * current
        elif amplitude > INAUDIBLE:
            total += amplitude * current
        following = doubled * current
        following -= previous
        previous, current = current, following
    return total


def soft_clip(samples: Samples, drive: float) -> Samples:
    """Amplifier saturation: tanh(drive * x) / drive for peak-normalised input; drive 0 leaves it alone."""
    if drive <= 0.0 or len(samples) == 0:
        return samples
    peak = float(np.max(np.abs(samples))) or 1.0
    return np.asarray(np.tanh(samples * np.float32(drive / peak)), dtype=np.float32)
