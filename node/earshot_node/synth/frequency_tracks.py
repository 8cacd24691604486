"""Frequency of a siren over time: sweeps, two tones, and the slow rise and fall of a rotor."""

import numpy as np

from earshot_node.synth.filters import Track


def sweep(cycles: Track, low_hz: float, high_hz: float, rise_share: float, curve: float) -> Track:
    """Frequency of a wail, yelp or phaser at each position in `cycles` (1.0 is one up and down).

    `rise_share` of the cycle rises. `curve` bends both parts as a charging capacitor does: 0 is straight
    over the logarithm of frequency, 3 rushes off and flattens out.
    """
    position = cycles % 1.0
    rising = position < rise_share
    up = position / rise_share
    down = (position - rise_share) / (1.0 - rise_share)
    share = np.where(rising, _charge(up, curve), 1.0 - _charge(down, curve))
    return np.asarray(low_hz * (high_hz / low_hz) ** share)


def _charge(position: Track, curve: float) -> Track:
    if abs(curve) < 1e-3:
        return position
    return np.asarray((1.0 - np.exp(-curve * position)) / (1.0 - np.exp(-curve)))


def alternate(cycles: Track, low_hz: float, high_hz: float, glide_share: float) -> Track:
    """Two tones in turn, the high one first; `glide_share` of a cycle is spent on each change."""
    position = cycles % 1.0
    edge = max(glide_share, 1e-6)
    into_low = np.clip((position - 0.5) / edge, 0.0, 1.0)
    into_high = np.clip((position - 1.0 + edge) / edge, 0.0, 1.0)
    low_share = into_low - into_high
    return np.asarray(high_hz * (low_hz / high_hz) ** low_share)


def rotor(cycles: Track, low_hz: float, high_hz: float, rise_share: float) -> Track:
    """A driven rotor: exponential approach to `high_hz` under power, coasting towards `low_hz` without.

    Periodic from the first sample; pitch is speed, so the curve is exponential in frequency itself.
    """
    position = cycles % 1.0
    up = np.clip(position / rise_share, 0.0, 1.0)
    down = np.clip((position - rise_share) / (1.0 - rise_share), 0.0, 1.0)
    share = np.where(position < rise_share, _charge(up, 3.0), 1.0 - _charge(down, 1.5))
    return np.asarray(low_hz + (high_hz - low_hz) * share)
