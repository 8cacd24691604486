"""When does a sound stand out from a background? Levels in the siren band over short windows."""

from dataclasses import dataclass

import numpy as np

from earshot_node.synth.filters import Samples, Track, high_pass_gain, low_pass_gain, shape_spectrum

BAND_LOW_HZ = 300.0
BAND_HIGH_HZ = 5000.0
WINDOW_S = 0.5
HOP_S = 0.05


@dataclass(frozen=True)
class Audible:
    """From where to where a sound's level passes the background's, and by how much at most."""

    onset_s: float
    offset_s: float
    peak_snr_db: float


def signal_to_noise_db(sound: Samples, background: Samples, sample_rate_hz: int) -> Track:
    """Level difference in the band of BAND_LOW_HZ to BAND_HIGH_HZ, one value every HOP_S.

    Value i covers the sound's power from i * HOP_S - WINDOW_S / 2 to + WINDOW_S / 2 (less at the ends)
    against the background's mean power over the whole stretch. Raises ValueError for different lengths.
    """
    if len(sound) != len(background):
        raise ValueError(f"sound has {len(sound)} samples, background {len(background)}")
    power = np.square(_in_band(sound, sample_rate_hz), dtype=np.float64)
    noise_power = float(np.mean(np.square(_in_band(background, sample_rate_hz), dtype=np.float64)))
    summed = np.concatenate([[0.0], np.cumsum(power)])
    centres = np.arange(0, len(sound) + 1, max(1, round(HOP_S * sample_rate_hz)))
    half = max(1, round(0.5 * WINDOW_S * sample_rate_hz))
    first, last = np.maximum(centres - half, 0), np.minimum(centres + half, len(sound))
    mean_power = (summed[last] - summed[first]) / np.maximum(last - first, 1)
    return np.asarray(10.0 * np.log10((mean_power + 1e-20) / (noise_power + 1e-20)))


def audible_interval(
    sound: Samples, background: Samples, sample_rate_hz: int, least_snr_db: float = 0.0
) -> Audible | None:
    """First and last moment at which the sound reaches `least_snr_db`; None if it never does."""
    snr_db = signal_to_noise_db(sound, background, sample_rate_hz)
    above = np.flatnonzero(snr_db >= least_snr_db)
    if len(above) == 0:
        return None
    return Audible(float(above[0]) * HOP_S, float(above[-1]) * HOP_S, float(np.max(snr_db)))


def _in_band(samples: Samples, sample_rate_hz: int) -> Samples:
    return shape_spectrum(
        samples,
        sample_rate_hz,
        lambda hz: high_pass_gain(hz, BAND_LOW_HZ, 4) * low_pass_gain(hz, BAND_HIGH_HZ, 4),
    )
