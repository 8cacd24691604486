"""Background of a street: wind and traffic."""

from collections.abc import Callable

import numpy as np

from earshot_node.synth.filters import (
    Samples,
    Track,
    fade_edges,
    high_pass_gain,
    low_pass_gain,
    peak_normalise,
    resonance_gain,
    rms_dbfs,
    scale,
    shape_spectrum,
    slow_noise,
)
from earshot_node.synth.notes import place

CARS_EVERY_S = 7.0


def coloured_noise(
    rng: np.random.Generator, samples: int, sample_rate_hz: int, corner_hz: float, slope_db_per_octave: float
) -> Samples:
    """Noise flat from 30 Hz to `corner_hz` that then falls by `slope_db_per_octave`; 0 dBFS RMS."""
    white = rng.standard_normal(samples).astype(np.float32)
    exponent = slope_db_per_octave / 6.02

    def gain(frequency_hz: Track) -> Track:
        return high_pass_gain(frequency_hz, 30.0, 2) * (1.0 + (frequency_hz / corner_hz) ** 2) ** (-exponent / 2.0)

    noise = shape_spectrum(white, sample_rate_hz, gain)
    return scale(noise, -rms_dbfs(noise))


def wind(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Gusts of low noise with a narrow howl that wanders between about 250 and 900 Hz."""
    gusts = np.exp(0.6 * slow_noise(rng, samples, sample_rate_hz, float(rng.uniform(0.3, 1.2))))
    rumble = coloured_noise(rng, samples, sample_rate_hz, 80.0, float(rng.uniform(7.0, 11.0)))
    howl = _howl(rng, samples, sample_rate_hz)
    share = float(rng.uniform(0.05, 0.5))
    return peak_normalise(gusts * (rumble + share * gusts * howl))


def _howl(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Noise around a wandering centre: slow noise in two quadratures on a drifting carrier."""
    centre_hz = float(rng.uniform(300.0, 700.0))
    wander = 0.18 * slow_noise(rng, samples, sample_rate_hz, float(rng.uniform(0.2, 0.8)))
    cycles = np.cumsum(centre_hz * np.exp(wander)) / sample_rate_hz
    width_hz = float(rng.uniform(15.0, 80.0))
    in_phase = slow_noise(rng, samples, sample_rate_hz, width_hz)
    quadrature = slow_noise(rng, samples, sample_rate_hz, width_hz)
    carrier = in_phase * np.cos(2.0 * np.pi * cycles) + quadrature * np.sin(2.0 * np.pi * cycles)
    return carrier.astype(np.float32)


def traffic(rng: np.random.Generator, samples: int, sample_rate_hz: int) -> Samples:
    """Rumble of a road: low noise, and now and then a car whose tyres hiss past."""
    total = coloured_noise(rng, samples, sample_rate_hz, float(rng.uniform(90.0, 200.0)), float(rng.uniform(5.0, 8.0)))
    for _ in range(1 + int(rng.poisson(samples / sample_rate_hz / CARS_EVERY_S))):
        car = _car_passing(rng, sample_rate_hz)
        middle = int(rng.uniform(0.0, samples))
        place(total, car, middle - len(car) // 2, float(rng.uniform(0.4, 1.6)))
    return peak_normalise(total)


def _car_passing(rng: np.random.Generator, sample_rate_hz: int) -> Samples:
    """Tyre noise that swells and fades; loudest in the middle."""
    width_s = float(rng.uniform(0.5, 1.8))
    samples = int(12.0 * width_s * sample_rate_hz)
    centre_hz, low_hz = float(rng.uniform(700.0, 1300.0)), float(rng.uniform(60.0, 200.0))
    hiss = shape_spectrum(
        rng.standard_normal(samples).astype(np.float32), sample_rate_hz, _tyre_gain(centre_hz, low_hz)
    )
    nearness = (np.arange(samples) / sample_rate_hz - 6.0 * width_s) / width_s
    return fade_edges(np.asarray(hiss / (1.0 + nearness**2), dtype=np.float32), sample_rate_hz, 3.0 * width_s)


def _tyre_gain(centre_hz: float, low_hz: float) -> Callable[[Track], Track]:
    def gain(frequency_hz: Track) -> Track:
        band = high_pass_gain(frequency_hz, low_hz, 1) * low_pass_gain(frequency_hz, 1500.0, 1)
        return band * resonance_gain(frequency_hz, centre_hz, 8.0, 0.7)

    return gain
