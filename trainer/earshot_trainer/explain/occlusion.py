"""Attribution by occlusion: how much the posterior falls when a patch of time and frequency is taken out of the audio.

It needs nothing but the graph that nodes run. A patch is turned down to the background of its frequencies, with soft
edges, and the model hears the changed audio: what falls then rested on the patch (after M. D. Zeiler and R. Fergus,
"Visualizing and Understanding Convolutional Networks", ECCV 2014, on pictures).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.model import StreamingModel
from earshot_trainer.evaluate.html.spectrogram import hz_of, mel_of
from earshot_trainer.explain.spectrum import (
    WINDOW_SAMPLES,
    FloatArray,
    Spectrum,
    bin_frequencies_hz,
    frame_middles_s,
    quiet_floor,
    samples_of,
    spectrum_of,
)
from earshot_trainer.explain.stretch import Stretch

STEP_S = 0.4
BANDS = 16
PATCH_S = 2 * STEP_S
"""A patch covers its cell of the grid and half of the neighbours, in time and in frequency: a model that remembers, and
hears harmonics, shrugs off less than that."""
LOWEST_HZ, HIGHEST_HZ = 100.0, 7600.0
EDGE_S = 0.2
LEAST_POSTERIOR = 1e-4
COUNTS_FROM = (0.5, 0.35, 0.25, 0.15)
"""Patches count from this share of the strongest one's weight; lower until the posterior is halved without them."""
LEAST_DROP = 0.05


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of time (within the stretch) and frequency; its edges are where the mask is at half."""

    begin_s: float
    end_s: float
    low_hz: float
    high_hz: float


@dataclass(frozen=True, slots=True)
class Attribution:
    """What the posterior rests on.

    Attributes:
        weight: float64[times, bands], fall of the mean log-odds over `target` frames without the patch of each cell.
        centres_s: float64[times], middles of the patches within the stretch; centres_hz: float64[bands].
        target: bool[frames], frames whose posterior is explained.
        most: rectangle around the patches that matter most; None where no patch matters.
        before, after: mean posterior over the target frames, as it is and with `most` taken out.
    """

    weight: FloatArray
    centres_s: FloatArray
    centres_hz: FloatArray
    target: NDArray[np.bool_]
    most: Patch | None
    before: float
    after: float


def target_frames(posteriors: NDArray[np.float32], point: OperatingPoint) -> NDArray[np.bool_]:
    """Return which of float32[frames] are to be explained: those at or above `enter`, which make an event begin.

    Where nothing reaches `enter`, those at three quarters of the highest posterior or more.
    """
    highest = float(posteriors.max(initial=0.0))
    level = point.enter if highest >= point.enter else 0.75 * highest
    return np.asarray(posteriors >= level)


def attribute(model: StreamingModel, stretch: Stretch, column: int, target: NDArray[np.bool_]) -> Attribution:
    """Take out patch after patch, all bands of one time in one call, from the state just before it."""
    base = stretch.posteriors[:, column]
    spectrum = spectrum_of(stretch.samples)
    floor = quiet_floor(spectrum)
    count = max(2, round(stretch.duration_s / STEP_S))
    step_s = stretch.duration_s / count
    centres_s = np.asarray((np.arange(count) + 0.5) * step_s, dtype=np.float64)
    edges_mel = np.linspace(mel_of(LOWEST_HZ), mel_of(HIGHEST_HZ), BANDS + 1)
    edges_hz = np.array([hz_of(mel) for mel in edges_mel])
    half_mel = (edges_mel[1] - edges_mel[0]) / 2
    bands_hz = [(hz_of(low - half_mel), hz_of(high + half_mel)) for low, high in pairwise(edges_mel)]
    weight = np.zeros((count, BANDS))
    state, heard = stretch.state, 0
    for number in range(count):
        middle_s = float(centres_s[number])
        patches = [Patch(middle_s - step_s, middle_s + step_s, low, high) for low, high in bands_hz]
        first = _first_changed_hop(patches[0], model.manifest.hop_samples)
        if first > heard:
            span = stretch.samples[heard * model.manifest.hop_samples : first * model.manifest.hop_samples]
            state, heard = model.run(span[None], [state]).states[0], first
        changed = np.stack([without(stretch.samples, spectrum, floor, patch) for patch in patches])
        rows = model.run(changed[:, first * model.manifest.hop_samples :], [state] * BANDS).posteriors[:, :, column]
        fall = (_log_odds(base[first:]) - _log_odds(rows)) * target[first:]
        weight[number] = fall.sum(axis=1) / target.sum()
    before = after = float(base[target].mean())
    most = None
    for share in COUNTS_FROM if weight.max() >= LEAST_DROP else ():
        most = _around_strongest(weight, share, step_s, edges_hz)
        changed = without(stretch.samples, spectrum, floor, most)
        after = float(model.run(changed[None], [stretch.state]).posteriors[0, target, column].mean())
        if after <= before / 2:
            break
    centres_hz = np.array([hz_of((low + high) / 2) for low, high in pairwise(edges_mel)])
    return Attribution(weight, centres_s, centres_hz, target, most, before, after)


def without(samples: Samples, spectrum: Spectrum, floor: FloatArray, patch: Patch) -> Samples:
    """Return float32[n] with a patch turned down to `floor`; audio further away from it than a window is unchanged."""
    in_time = _soft(frame_middles_s(len(spectrum)), patch.begin_s, patch.end_s, EDGE_S)
    edge_hz = min((patch.high_hz - patch.low_hz) / 2, 0.2 * patch.low_hz + 40.0)
    in_band = _soft(bin_frequencies_hz(), patch.low_hz, patch.high_hz, edge_hz)
    frames = np.flatnonzero(in_time)
    some = spectrum[frames[0] : frames[-1] + 1]
    loss = 1 - np.minimum(1.0, floor / np.maximum(np.abs(some), 1e-12))
    mask = in_time[frames[0] : frames[-1] + 1, None] * in_band
    taken = samples_of(some * loss * mask, int(frames[0]), len(samples))
    return np.asarray(samples - taken, dtype=np.float32)


def _first_changed_hop(patch: Patch, hop_samples: int) -> int:
    first_sample = (patch.begin_s - EDGE_S / 2) * SAMPLE_RATE_HZ - WINDOW_SAMPLES
    return max(0, int(first_sample) // hop_samples)


def _soft(places: FloatArray, low: float, high: float, edge: float) -> FloatArray:
    """Return 1 inside, 0 outside, with raised cosines of width `edge`; half at `low` and `high`."""
    rise = np.clip((places - low) / edge + 0.5, 0, 1)
    fall = np.clip((high - places) / edge + 0.5, 0, 1)
    return np.asarray((0.5 - 0.5 * np.cos(np.pi * rise)) * (0.5 - 0.5 * np.cos(np.pi * fall)))


def _log_odds(posteriors: NDArray[np.float32]) -> FloatArray:
    bounded = np.clip(posteriors.astype(np.float64), LEAST_POSTERIOR, 1 - LEAST_POSTERIOR)
    return np.asarray(np.log(bounded / (1 - bounded)))


def _around_strongest(weight: FloatArray, share: float, step_s: float, edges_hz: FloatArray) -> Patch:
    """Return the rectangle around all patches connected with the strongest that weigh at least its `share`."""
    counts = weight >= share * weight.max()
    start = np.unravel_index(int(weight.argmax()), weight.shape)
    found, waiting = set(), [(int(start[0]), int(start[1]))]
    while waiting:
        time, band = waiting.pop()
        inside = 0 <= time < weight.shape[0] and 0 <= band < weight.shape[1]
        if inside and counts[time, band] and (time, band) not in found:
            found.add((time, band))
            waiting += [(time - 1, band), (time + 1, band), (time, band - 1), (time, band + 1)]
    times, bands = [time for time, _ in found], [band for _, band in found]
    return Patch(
        begin_s=min(times) * step_s,
        end_s=(max(times) + 1) * step_s,
        low_hz=float(edges_hz[min(bands)]),
        high_hz=float(edges_hz[max(bands) + 1]),
    )
