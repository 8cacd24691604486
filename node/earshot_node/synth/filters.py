"""Small signal tools shared by the synthesizers: spectral shaping, slow noise, levels."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
Track = NDArray[np.float64]

SILENCE_DBFS = -120.0


def fast_length(minimum: int) -> int:
    """The smallest length of the form 2^a, 3*2^a or 5*2^a that is at least `minimum`: quick FFTs."""
    best = 1 << max(0, (minimum - 1).bit_length())
    for factor in (3, 5):
        length = factor << max(0, (-(-minimum // factor) - 1).bit_length())
        best = min(best, length)
    return best


def shape_spectrum(
    samples: NDArray[np.floating],
    sample_rate_hz: int,
    gain: Callable[[Track], Track],
    padding_samples: int = 1024,
) -> Samples:
    """Multiply the spectrum by `gain(frequency_hz)` (zero phase); same length, float32.

    The signal is zero padded by `padding_samples`, so its end does not wrap into its start.
    """
    length = fast_length(len(samples) + padding_samples)
    spectrum = np.fft.rfft(np.asarray(samples, dtype=np.float32), length)
    frequency_hz = np.arange(length // 2 + 1, dtype=np.float64) * (sample_rate_hz / length)
    shaped = np.fft.irfft(spectrum * gain(frequency_hz).astype(np.float32), length)
    return np.asarray(shaped[: len(samples)], dtype=np.float32)


def high_pass_gain(frequency_hz: Track, cutoff_hz: float, order: int = 2) -> Track:
    """Butterworth magnitude of a high-pass, -3 dB at `cutoff_hz`."""
    ratio = np.divide(cutoff_hz, frequency_hz, where=frequency_hz > 0, out=np.full_like(frequency_hz, 1e6))
    return np.asarray(1.0 / np.sqrt(1.0 + ratio ** (2 * order)))


def low_pass_gain(frequency_hz: Track, cutoff_hz: float, order: int = 2) -> Track:
    """Butterworth magnitude of a low-pass, -3 dB at `cutoff_hz`."""
    return np.asarray(1.0 / np.sqrt(1.0 + (frequency_hz / cutoff_hz) ** (2 * order)))


def resonance_gain(frequency_hz: Track, centre_hz: float, gain_db: float, width_octaves: float) -> Track:
    """A bell of `gain_db` at `centre_hz`, Gaussian over the logarithm of frequency."""
    octaves = np.log2(np.maximum(frequency_hz, 1.0) / centre_hz)
    return np.asarray(10.0 ** (gain_db / 20.0 * np.exp(-0.5 * (octaves / width_octaves) ** 2)))


def slow_noise(rng: np.random.Generator, samples: int, sample_rate_hz: float, rate_hz: float) -> Track:
    """Unit-variance noise that wanders at about `rate_hz`: random points joined by straight lines."""
    points = max(2, int(samples / sample_rate_hz * rate_hz) + 2)
    values = rng.standard_normal(points)
    position = np.arange(samples) * (rate_hz / sample_rate_hz)
    return np.asarray(np.interp(position, np.arange(points), values))


def rms_dbfs(samples: NDArray[np.floating]) -> float:
    """Root mean square in dBFS, 0 dBFS being a constant 1.0; silence is SILENCE_DBFS."""
    if len(samples) == 0:
        return SILENCE_DBFS
    mean_square = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(SILENCE_DBFS, 10.0 * float(np.log10(mean_square + 1e-30)))


def scale(samples: NDArray[np.floating], gain_db: float) -> Samples:
    """The samples louder by `gain_db` (softer when negative), float32."""
    return np.asarray(samples * np.float32(10.0 ** (gain_db / 20.0)), dtype=np.float32)


def set_level(samples: NDArray[np.floating], level_dbfs: float) -> Samples:
    """Scale to a root mean square of `level_dbfs`; silence stays silence. Peaks may pass full scale."""
    present_dbfs = rms_dbfs(samples)
    if present_dbfs <= SILENCE_DBFS:
        return np.asarray(samples, dtype=np.float32)
    return scale(samples, level_dbfs - present_dbfs)


def peak_normalise(samples: NDArray[np.floating], peak: float = 0.99) -> Samples:
    """Scale so that the largest magnitude is `peak`; silence stays silence."""
    largest = float(np.max(np.abs(samples))) if len(samples) else 0.0
    if largest == 0.0:
        return np.asarray(samples, dtype=np.float32)
    return (np.asarray(samples) * (peak / largest)).astype(np.float32)


def fade_edges(samples: Samples, sample_rate_hz: int, fade_s: float) -> Samples:
    """Raise and lower the ends over `fade_s` with a half cosine (at most half the length)."""
    count = min(int(fade_s * sample_rate_hz), len(samples) // 2)
    if count == 0:
        return samples
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(count) + 0.5) / count)).astype(np.float32)
    faded = samples.copy()
    faded[:count] *= ramp
    faded[-count:] *= ramp[::-1]
    return faded


def convolve(samples: Samples, response: Samples) -> Samples:
    """Causal convolution by FFT, cut to the length of `samples`."""
    length = fast_length(len(samples) + len(response))
    spectrum = np.fft.rfft(samples, length) * np.fft.rfft(response, length)
    return np.asarray(np.fft.irfft(spectrum, length)[: len(samples)], dtype=np.float32)


def oversample(samples: Samples) -> Samples:
    """Twice the sample rate by padding the spectrum; result[2 * i] is samples[i]."""
    length = fast_length(len(samples) + 256)
    spectrum = np.fft.rfft(samples, length)
    spectrum[-1] *= 0.5
    return np.asarray(2.0 * np.fft.irfft(spectrum, 2 * length)[: 2 * len(samples)], dtype=np.float32)
