"""Which kind of siren an event is, from the log-mel frames that the model's graph gives anyway.

Kinds differ in how their pitch moves: a wail sweeps up and down 10 to 30 times a minute, a yelp 150 to 250 times (13
CCR 1028, California; SAE J1849); hi-lo holds each of two pitches for 0.3 to 1.4 s (the rules in synth/two_tone.py); a
civil-defence tone stays. Two measurements:

- recurrence: the correlation of the spectrum's shape with itself some time later. A sweep or alternation comes back
  after its period; half a period later two tones are each other's opposite, a sweep is merely elsewhere.
- the pitch's ridge (siren_ridge.py): long glides are a wail even when the event is shorter than its period.

What is not clear is `unknown`; so are phasers (faster than a yelp) and sirens whose crew changes modes.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.manifest import MEL_RANGE_HZ, MelRange
from earshot_node.contract.names import SirenKind
from earshot_node.inference.siren_ridge import Frames, Ridge, Track, find_ridge, mel_centres_hz

SPAN_S: Final = 20.0
_SHORTEST_S: Final = 1.2
_SHORTEST_STEADY_S: Final = 3.0
_BAND_LOW_HZ: Final = 300.0
_BAND_HIGH_HZ: Final = 4500.0
_YELP_HZ: Final = (1.8, 7.5)
_HI_LO_HZ: Final = (0.35, 1.7)


@dataclass(frozen=True, slots=True)
class Recurrence:
    """When the spectrum's shape comes back.

    Attributes:
        rate_hz: once in so many seconds; 0 when it never does.
        peak: correlation after one period, -1 to 1.
        trough: lowest correlation about half a period later.
        again: correlation after two periods; `peak` where the event is too short to tell.
    """

    rate_hz: float = 0.0
    peak: float = 0.0
    trough: float = 0.0
    again: float = 0.0


class KindCollector:
    """Remembers the latest log-mel frames of one stream and names the kind of an event in them.

    Keeps SPAN_S and what the latest `push` brought, in half precision: 320 kB for 80 mels. How frames are cut into
    pushes does not change the answer.

    Args:
        mel_hop_s: seconds between frames.
        begin_s: stream time at which the first pushed frame begins.
        range_hz: of the frames' bands.
    """

    def __init__(self, mel_hop_s: float, begin_s: float = 0.0, range_hz: MelRange = MEL_RANGE_HZ) -> None:
        self._hop_s = mel_hop_s
        self._range_hz = range_hz
        self._span = round(SPAN_S / mel_hop_s)
        self._kept: deque[NDArray[np.float16]] = deque()
        self._begin = self._end = round(begin_s / mel_hop_s)

    def push(self, log_mel: Frames) -> None:
        """Take the next float32[frames, mels]."""
        while self._kept and self._end - self._begin - len(self._kept[0]) >= self._span:
            self._begin += len(self._kept.popleft())
        self._kept.append(log_mel.astype(np.float16))
        self._end += len(log_mel)

    def kind(self, onset_s: float, offset_s: float, decided_s: float) -> SirenKind:
        """Name the kind of what sounds from `onset_s` to `offset_s`, of it at most the SPAN_S before `decided_s`.

        Stream times; `decided_s` is not after the last frame's end.
        """
        decided = round(decided_s / self._hop_s)
        first = max(round(onset_s / self._hop_s), decided - self._span, self._begin)
        last = min(round(offset_s / self._hop_s), decided, self._end)
        if last <= first:
            return "unknown"
        frames = np.concatenate(self._kept)[first - self._begin : last - self._begin]
        return siren_kind(frames.astype(np.float32), self._hop_s, self._range_hz)


def siren_kind(log_mel: Frames, hop_s: float, range_hz: MelRange = MEL_RANGE_HZ) -> SirenKind:
    """Name the kind of siren that sounds through float32[frames, mels] (natural logarithm of power, HTK mels)."""
    if len(log_mel) * hop_s < _SHORTEST_S:
        return "unknown"
    paired = _pair(log_mel)
    fast = find_recurrence(log_mel, hop_s, 1.0, (0.04, 0.62), range_hz)
    slow = find_recurrence(paired, 2.0 * hop_s, 3.0, (0.55, 3.3), range_hz)
    ridge = find_ridge(paired, 2.0 * hop_s, range_hz)
    glides = _gliding_share(ridge)
    if fast.again >= max(0.1, 0.5 * fast.peak) and fast.peak >= 0.2:
        return "yelp" if _YELP_HZ[0] <= fast.rate_hz <= _YELP_HZ[1] and fast.trough > -0.5 else "unknown"
    if glides >= 0.55 or (glides >= 0.4 and not _alternates(slow, ridge)):
        return "wail" if ridge.voiced_share >= 0.4 else "unknown"
    if _alternates(slow, ridge):
        return "hi_lo"
    return "steady" if _is_steady(ridge, fast, len(log_mel) * hop_s) else "unknown"


def find_recurrence(
    log_mel: Frames,
    hop_s: float,
    local_s: float,
    periods_s: tuple[float, float],
    range_hz: MelRange = MEL_RANGE_HZ,
) -> Recurrence:
    """Find the period within `periods_s` after which the spectrum's shape comes back best.

    Each band counts against its own mean over `local_s` and each frame against its own mean, so that neither a change
    of colour nor one of loudness is taken for a siren that moves.
    """
    correlation = _self_correlation(_shape(log_mel, round(local_s / hop_s), range_hz))
    first, last = round(periods_s[0] / hop_s), round(periods_s[1] / hop_s)
    found: list[tuple[float, int, float, float]] = []
    for lag in range(max(2, first), min(last, int(0.67 * len(correlation)))):
        if correlation[lag] == correlation[lag - 2 : lag + 3].max():
            trough = float(correlation[int(0.35 * lag) : int(0.65 * lag) + 1].min())
            found.append((float(correlation[lag]) - trough, lag, float(correlation[lag]), trough))
    best = max((contrast for contrast, *_ in found), default=0.0)
    if best <= 0.0:
        return Recurrence()
    _, lag, peak, trough = next(one for one in found if one[0] >= 0.8 * best)
    told = 2 * lag + 2 < 0.8 * len(correlation)
    again = float(correlation[2 * lag - 1 : 2 * lag + 2].max()) if told else peak
    return Recurrence(1.0 / (lag * hop_s), peak, trough, again)


def _pair(log_mel: Frames) -> Frames:
    """Average pairs of frames."""
    return np.asarray(log_mel[: len(log_mel) // 2 * 2].reshape(-1, 2, log_mel.shape[1]).mean(axis=1), dtype=np.float32)


def _shape(log_mel: Frames, local_frames: int, range_hz: MelRange) -> Track:
    centres_hz = mel_centres_hz(log_mel.shape[1], range_hz)
    bands = log_mel[:, (centres_hz > _BAND_LOW_HZ) & (centres_hz < _BAND_HIGH_HZ)].astype(np.float64)
    half = local_frames // 2
    if local_frames < len(bands):
        summed = np.cumsum(np.pad(bands, ((half + 1, half), (0, 0)), mode="edge"), axis=0)
        bands = bands - (summed[2 * half + 1 :] - summed[: -2 * half - 1]) / (2 * half + 1)
    else:
        bands = bands - bands.mean(axis=0)
    return np.asarray(bands - bands.mean(axis=1, keepdims=True))


def _self_correlation(shape: Track) -> Track:
    """Correlation of the frames with those `lag` frames later, by the energy of the frames that overlap."""
    frames = len(shape)
    spectrum = np.fft.rfft(shape, 1 << (2 * frames - 1).bit_length(), axis=0)
    product = np.fft.irfft((spectrum.real**2 + spectrum.imag**2).sum(axis=1))[:frames]
    energy = np.concatenate([[0.0], np.cumsum(np.square(shape).sum(axis=1))])
    lags = np.arange(frames)
    overlap = (energy[-1] - energy[lags]) * energy[frames - lags]
    return np.asarray(product / np.sqrt(np.maximum(overlap, 1e-9)))


def _alternates(slow: Recurrence, ridge: Ridge) -> bool:
    """Two tones: the spectrum half a period later is the opposite, and the ridge moves."""
    in_rate = _HI_LO_HZ[0] <= slow.rate_hz <= _HI_LO_HZ[1]
    opposite = slow.trough <= min(-0.15, -0.5 * slow.peak)
    returns = slow.peak >= 0.2 and slow.again >= 0.2 * slow.peak
    return in_rate and opposite and returns and (ridge.span_octaves >= 0.1 or slow.peak >= 0.45)


def _gliding_share(ridge: Ridge) -> float:
    """Share of the event spent in glides of a third of an octave and more, none faster than two octaves a second."""
    glides_s = sum(
        sweep.length_s
        for sweep in ridge.sweeps()
        if abs(sweep.octaves) >= 0.3
        and sweep.length_s >= 0.6
        and abs(sweep.octaves) <= 2.0 * sweep.length_s
        and sweep.between >= 0.35
    )
    return glides_s / max(len(ridge.octaves) * ridge.hop_s, 1e-9)


def _is_steady(ridge: Ridge, fast: Recurrence, length_s: float) -> bool:
    held = ridge.voiced_share >= 0.7 and ridge.span_octaves <= 0.14 and ridge.level_share >= 0.9
    return held and length_s >= _SHORTEST_STEADY_S and fast.peak < 0.2
