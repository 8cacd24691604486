"""The pitch of a siren over time, from log-mel frames: harmonic salience and the best path through it."""

import itertools
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.manifest import MEL_RANGE_HZ, MelRange

Frames = NDArray[np.float32]
Track = NDArray[np.float64]

LOWEST_HZ: Final = 180.0
BIN_OCTAVES: Final = 1.0 / 16.0
BINS: Final = 56
AUDIBLE_SALIENCE: Final = 1.0
_PEAK_BANDS: Final = 13
_HIGHEST_PEAK: Final = 4.0
_OVERTONES: Final = ((1.0, 1.0), (2.0, 0.9), (3.0, 0.8), (4.0, 0.6), (5.0, 0.5))
_BETWEEN: Final = ((0.5, 0.45), (1.5, 0.45), (2.5, 0.3))
_GLIDE_COST: Final = 0.3
_JUMP_COST: Final = 2.2
_PRODUCT_FRAMES: Final = 32
"""In one matrix product: numpy's BLAS shares larger ones out among all cores, which wait longer than they multiply."""
_TURN_OCTAVES: Final = 0.12
_SMALLEST_SWEEP_OCTAVES: Final = 0.25


@dataclass(frozen=True, slots=True)
class Sweep:
    """The way from one turning point of the pitch to the next.

    Attributes:
        octaves: how far, negative downwards.
        length_s: how long.
        between: share of that time spent between a fifth and four fifths of the way: about .6 for a steady glide,
            0 for a tone held and then left in a jump.
    """

    octaves: float
    length_s: float
    between: float


@dataclass(frozen=True, slots=True)
class Ridge:
    """The best path: pitch in octaves above LOWEST_HZ, and whether something sounds there, one value a frame."""

    octaves: Track
    sounding: NDArray[np.bool_]
    hop_s: float

    @property
    def voiced_share(self) -> float:
        """Share of the frames in which it sounds."""
        return float(np.mean(self.sounding)) if len(self.sounding) else 0.0

    @property
    def span_octaves(self) -> float:
        """Between the 5th and the 95th percentile of the sounding pitch."""
        if not self.sounding.any():
            return 0.0
        low, high = np.quantile(self.octaves[self.sounding], (0.05, 0.95))
        return float(high - low)

    @property
    def level_share(self) -> float:
        """Share of the sounding frames within a bin of the median pitch."""
        if not self.sounding.any():
            return 0.0
        pitch = self.octaves[self.sounding]
        return float(np.mean(np.abs(pitch - np.median(pitch)) < 1.5 * BIN_OCTAVES))

    def sweeps(self) -> list[Sweep]:
        """Every way between turning points that is at least a quarter of an octave long."""
        at = np.flatnonzero(self.sounding)
        pitch = self.octaves[at]
        found = []
        turns = _turning_points(pitch)
        for first, last in itertools.pairwise(turns):
            octaves = float(pitch[last] - pitch[first]) if last > first else 0.0
            if abs(octaves) >= _SMALLEST_SWEEP_OCTAVES:
                way = (pitch[first : last + 1] - pitch[first]) / octaves
                between = float(np.mean((way > 0.2) & (way < 0.8)))
                found.append(Sweep(octaves, float(at[last] - at[first]) * self.hop_s, between))
        return found


def find_ridge(log_mel: Frames, hop_s: float, range_hz: MelRange = MEL_RANGE_HZ) -> Ridge:
    """Follow the strongest harmonic sound through float32[frames, mels] (natural logarithm of power, HTK mels)."""
    salience = harmonic_salience(log_mel, range_hz)
    path = _best_path(salience)
    heard = salience[np.arange(len(path)), path]
    return Ridge(path.astype(np.float64) * BIN_OCTAVES, heard > AUDIBLE_SALIENCE, hop_s)


def mel_centres_hz(mels: int, range_hz: MelRange = MEL_RANGE_HZ) -> Track:
    """Centre frequencies of `mels` HTK bands within `range_hz`."""
    low_hz, high_hz = range_hz
    edges = np.linspace(_mel(low_hz), _mel(high_hz), mels + 2)[1:-1]
    return np.asarray(700.0 * (10.0 ** (edges / 2595.0) - 1.0))


def harmonic_salience(log_mel: Frames, range_hz: MelRange = MEL_RANGE_HZ) -> Track:
    """How far the harmonics of each pitch stand out of their neighbourhood: float[frames, BINS], in nepers of power."""
    half = _PEAK_BANDS // 2
    summed = np.cumsum(np.pad(log_mel.astype(np.float64), ((0, 0), (half + 1, half)), mode="edge"), axis=1)
    around = (summed[:, _PEAK_BANDS:] - summed[:, :-_PEAK_BANDS]) / _PEAK_BANDS
    peaks = np.clip(log_mel[:, : around.shape[1]] - around, 0.0, _HIGHEST_PEAK)
    comb = _comb(log_mel.shape[1], *range_hz)[: around.shape[1]]
    pieces = range(0, max(1, len(peaks)), _PRODUCT_FRAMES)
    return np.concatenate([peaks[start : start + _PRODUCT_FRAMES] @ comb for start in pieces])


def _mel(frequency_hz: float) -> float:
    return 2595.0 * float(np.log10(1.0 + frequency_hz / 700.0))


@lru_cache(maxsize=4)
def _comb(mels: int, low_hz: float, high_hz: float) -> Track:
    """Weights [mels, BINS]: bands of a pitch's overtones count for it, those half-way between count against it."""
    comb = np.zeros((mels, BINS))
    low, high = _mel(low_hz), _mel(high_hz)
    step = (high - low) / (mels + 1)
    for bin_number in range(BINS):
        pitch_hz = LOWEST_HZ * 2.0 ** (bin_number * BIN_OCTAVES)
        for sign, partials in ((1.0, _OVERTONES), (-1.0, _BETWEEN)):
            for ratio, weight in partials:
                band = (_mel(ratio * pitch_hz) - low) / step - 1.0
                whole = int(np.floor(band))
                if 0 <= whole < mels - 1:
                    comb[whole, bin_number] += sign * weight * (1.0 - (band - whole))
                    comb[whole + 1, bin_number] += sign * weight * (band - whole)
    return comb / sum(weight for _, weight in _OVERTONES)


def _best_path(salience: Track) -> NDArray[np.intp]:
    """Viterbi: most salience, less a cost for each bin of glide, at most that of a jump."""
    frames, bins = salience.shape
    reach = int(_JUMP_COST / _GLIDE_COST)  # farther than this a jump is cheaper
    glide_cost = _GLIDE_COST * np.abs(np.arange(-reach, reach + 1))[:, None]
    padded = np.full(bins + 2 * reach, -np.inf)
    score, shifted = padded[reach : reach + bins], np.lib.stride_tricks.sliding_window_view(padded, bins)
    scores, glided = np.empty((frames, bins)), np.empty((2 * reach + 1, bins))
    scores[0] = salience[0]
    for frame in range(1, frames):
        score[:] = scores[frame - 1]
        np.subtract(shifted, glide_cost, out=glided)
        best = np.maximum(glided.max(axis=0), score.max() - _JUMP_COST)
        np.add(best, salience[frame], out=scores[frame])
    path = np.zeros(frames, dtype=np.intp)
    path[-1] = scores[-1].argmax()
    distance = np.abs(np.arange(bins)[:, None] - np.arange(bins)[None])
    cost = np.minimum(_GLIDE_COST * distance, _JUMP_COST)
    for frame in range(frames - 1, 0, -1):
        path[frame - 1] = (scores[frame - 1] - cost[path[frame]]).argmax()
    return path


def _turning_points(pitch: Track) -> list[int]:
    """Indices of the extremes: where the pitch turns by more than _TURN_OCTAVES, and both ends."""
    if len(pitch) < 2:
        return []
    turns, direction, lowest, highest = [0], 0, 0, 0
    for index in range(1, len(pitch)):
        if pitch[index] > pitch[highest]:
            highest = index
        if pitch[index] < pitch[lowest]:
            lowest = index
        if direction >= 0 and pitch[highest] - pitch[index] > _TURN_OCTAVES:
            turns.append(highest)
            direction, lowest, highest = -1, index, index
        elif direction <= 0 and pitch[index] - pitch[lowest] > _TURN_OCTAVES:
            turns.append(lowest)
            direction, lowest, highest = 1, index, index
    turns.append(highest if direction >= 0 else lowest)
    return turns
