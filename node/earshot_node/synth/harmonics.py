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

HIGHEST_SHARE_OF_RATE = 0.47  # harmonics fade out from 0.44 to 0.47 of the sample rate


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
        return pulse * 10.0 ** (self.tilt_db_per_octave * float(np.log2(number)) / 20.0)


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
        return shape_spectrum(samples, sample_rate_hz, self.gain)


def oscillate(frequency_hz: Track, sample_rate_hz: int, timbre: Timbre, start_cycles: float = 0.0) -> Samples:
    """Harmonic tone along `frequency_hz` (one value a sample): float32, about 1 in amplitude.

    The phase is the running sum of the frequency, so jumps of frequency make no click. Cosines of the
    harmonics come from the Chebyshev recurrence cos((k+1)x) = 2 cos(x) cos(kx) - cos((k-1)x).
    """
    cycles = np.cumsum(frequency_hz / sample_rate_hz)
    phase = 2.0 * np.pi * ((cycles + start_cycles) % 1.0)
    fundamental = np.cos(phase)
    doubled = 2.0 * fundamental
    previous, current = np.ones_like(fundamental), fundamental
    total = np.zeros(len(frequency_hz))
    lowest_hz, highest_hz = (float(np.min(frequency_hz)), float(np.max(frequency_hz))) if len(total) else (1.0, 1.0)
    for number in range(1, timbre.harmonics + 1):
        if number * lowest_hz >= HIGHEST_SHARE_OF_RATE * sample_rate_hz:
            break
        amplitude = timbre.amplitude(number)
        if amplitude > 1e-4:
            if number * highest_hz > (HIGHEST_SHARE_OF_RATE - 0.03) * sample_rate_hz:
                room = HIGHEST_SHARE_OF_RATE - number / sample_rate_hz * frequency_hz
                total += amplitude * np.clip(room / 0.03, 0.0, 1.0) * current
            else:
                total += amplitude * current
        previous, current = current, doubled * current - previous
    return total.astype(np.float32)


def soft_clip(samples: Samples, drive: float) -> Samples:
    """Amplifier saturation: tanh(drive * x) / drive for peak-normalised input; drive 0 leaves it alone."""
    if drive <= 0.0 or len(samples) == 0:
        return samples
    peak = float(np.max(np.abs(samples))) or 1.0
    return np.tanh(samples * np.float32(drive / peak)).astype(np.float32)
