"""Mixtures in samples, for a listener that needs samples: a siren, a trap or nothing over one or two backgrounds.

    recordings and pool -> draw (seeded by the mixture's number) -> stretch, street, room, distance -> sum at an SNR
      -> room, equalizer, self-noise, level

Backgrounds are also played at other speeds and backwards: sounds that nobody has recorded, between those that somebody
has. What they are then, the listener says.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from earshot_node.synth.acoustics import echo_response, random_street, random_town, reverberate
from earshot_node.synth.filters import Samples, Track, fade_edges, low_pass_gain, set_level, shape_spectrum
from earshot_trainer.corpus.activity import active_frames
from earshot_trainer.corpus.cache import PcmCache, to_int16
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.segments.synthetic import SyntheticSound

REAL, MADE, TRAP, PLAIN = range(4)
"""What lies over the background: a real siren, a synthesized one, a siren-like trap, nothing."""
KIND_ODDS = (0.33, 0.15, 0.18, 0.34)
SNR_DB = (-8.0, 25.0)
ALONE_SHARE = 0.15
"""Fronts without audible background."""
ALONE_SNR_DB = 40.0
LEVEL_DBFS = (-52.0, -8.0)
NOISE_DB = (-60.0, -25.0)
"""The microphone's own noise, relative to the mixture."""
SPEEDS = (((0.55, 1.8), 0.35), ((0.87, 1.15), 0.25))
"""Ranges of a background's speed, and the share of backgrounds that each is drawn for; the rest keep theirs."""
BACKWARDS_SHARE = 0.12
SIREN_SPEEDS = (((0.7, 1.4), 0.2), ((0.9, 1.11), 0.8))
POOL_SPEEDS = (((0.85, 1.18), 1.0),)
SECOND_BACKGROUND_SHARE = 0.25
STREET_SHARE = FRONT_ROOM_SHARE = 0.3
TOWN_SHARE = 0.12
DISTANCE_SHARE = 0.25
ROOM_SHARE = 0.2
EQUALIZER_SHARE, EQUALIZER_DB = 0.6, 5.0
LONGEST_BACKGROUND_S = 600.0
"""A longer recording is drawn no more often than one of this length."""
BALANCE = 0.5
Bounds = tuple[float, float]


@dataclass(frozen=True)
class Mixture:
    """float32 samples, in which 40 ms frames a siren sounds, and the recordings (by number) that it was made of."""

    samples: Samples
    active: npt.NDArray[np.bool_]
    ingredients: tuple[int, ...]


class MixtureRenderer:
    """Renders mixtures of `length` samples (whole 40 ms frames) by their number: the same one each time."""

    def __init__(
        self,
        recordings: Sequence[Recording],
        cache: PcmCache,
        pool: Sequence[SyntheticSound],
        length: int,
        active_range_db: float,
        seed: int,
    ) -> None:
        self._recordings = recordings
        self._cache = cache
        self._length = length
        self._active_range_db = active_range_db
        self._seed = seed
        self._sirens = [row for row, r in enumerate(recordings) if r.is_siren]
        self._others = [row for row, r in enumerate(recordings) if not r.is_siren]
        self._siren_odds = _odds([_name_of_siren(recordings[row]) for row in self._sirens])
        lengths_s = [
            min(len(cache.samples(recordings[row])) / SAMPLE_RATE_HZ, LONGEST_BACKGROUND_S) for row in self._others
        ]
        names = [f"{recordings[row].source}/{recordings[row].label}" for row in self._others]
        self._other_odds = _odds(names, np.maximum(lengths_s, 2.0))
        self._pools = {
            MADE: [sound.samples for sound in pool if sound.is_siren],
            TRAP: [sound.samples for sound in pool if not sound.is_siren],
        }

    def render(self, number: int) -> Mixture:
        """The mixture of this number."""
        rng = np.random.default_rng([self._seed, 8, number])
        used: list[int] = []
        kind = self._draw_kind(rng)
        sound = set_level(self._background(rng, used), -26.0)
        if rng.random() < SECOND_BACKGROUND_SHARE:
            sound = sound + set_level(self._background(rng, used), -26.0 + rng.uniform(-15.0, 5.0))
        active = np.zeros(self._length // HOP_SAMPLES, dtype=np.bool_)
        if kind != PLAIN:
            front, active = self._place(rng, self._front(rng, kind, used))
            sound = _sum_at(rng, front, active, sound)
            if kind == TRAP:
                active = np.zeros_like(active)
        return Mixture(_finish(rng, sound), active, tuple(used))

    def _draw_kind(self, rng: np.random.Generator) -> int:
        kind = int(rng.choice(4, p=KIND_ODDS))
        if kind == REAL and not self._sirens:
            kind = MADE
        return PLAIN if kind in self._pools and not self._pools[kind] else kind

    def _background(self, rng: np.random.Generator, used: list[int]) -> Samples:
        row = int(rng.choice(self._others, p=self._other_odds))
        used.append(row)
        samples = self._at_a_speed(rng, self._cache.samples(self._recordings[row]), SPEEDS)
        if rng.random() < BACKWARDS_SHARE:
            samples = samples[::-1]
        return _filled(rng, samples, self._length)

    def _front(self, rng: np.random.Generator, kind: int, used: list[int]) -> Samples:
        if kind == REAL:
            row = int(rng.choice(self._sirens, p=self._siren_odds))
            used.append(row)
            samples = self._at_a_speed(rng, self._cache.samples(self._recordings[row]), SIREN_SPEEDS)
        else:
            pool = self._pools[kind]
            samples = self._at_a_speed(rng, pool[int(rng.integers(len(pool)))], POOL_SPEEDS)
        if kind == REAL and rng.random() < STREET_SHARE:
            samples = random_street(rng, samples, SAMPLE_RATE_HZ)
        elif kind == REAL and rng.random() < TOWN_SHARE:
            samples = random_town(rng, samples, SAMPLE_RATE_HZ)
        elif rng.random() < FRONT_ROOM_SHARE:
            samples = _in_a_room(rng, samples)
        if rng.random() < DISTANCE_SHARE:
            cutoff_hz = _log_uniform(rng, (500.0, 4000.0))
            samples = shape_spectrum(samples, SAMPLE_RATE_HZ, lambda hz: low_pass_gain(hz, cutoff_hz))
        return samples

    def _at_a_speed(
        self, rng: np.random.Generator, samples: npt.NDArray[np.int16], speeds: Sequence[tuple[Bounds, float]]
    ) -> Samples:
        """At most the mixture's length from somewhere in `samples`, at a drawn speed: as a tape, pitch and all."""
        speed, drawn = 1.0, rng.random()
        for bounds, share in speeds:
            if drawn < share:
                speed = _log_uniform(rng, bounds)
                break
            drawn -= share
        wanted = int(self._length * speed) + 2
        start = int(rng.integers(0, max(1, len(samples) - wanted + 1)))
        piece = samples[start : start + wanted].astype(np.float32) / 32768.0
        if speed == 1.0:
            return piece[: self._length]
        places = np.arange(max(1, int(len(piece) / speed))) * speed
        return np.asarray(np.interp(places, np.arange(len(piece)), piece)[: self._length], dtype=np.float32)

    def _place(self, rng: np.random.Generator, samples: Samples) -> tuple[Samples, npt.NDArray[np.bool_]]:
        """The sound laid somewhere, cut at the mixture's ends and faded at its own, and where it sounds."""
        length, count = self._length, len(samples)
        begins_with_it = count >= 0.9 * length and rng.random() < 0.5
        start = 0 if begins_with_it else int(rng.integers(-(count // 2), length - count // 3))
        sounding = active_frames(
            to_int16(samples * np.float32(0.5 / max(np.abs(samples).max(), 1e-9))), self._active_range_db
        )
        samples = fade_edges(samples, SAMPLE_RATE_HZ, float(rng.uniform(0.01, 0.3)))
        laid = np.zeros(length, dtype=np.float32)
        left, right = max(start, 0), min(start + count, length)
        laid[left:right] = samples[left - start : right - start]
        frames = (np.arange(length // HOP_SAMPLES) * HOP_SAMPLES + HOP_SAMPLES // 2 - start) // HOP_SAMPLES
        inside = (frames >= 0) & (frames < len(sounding))
        return laid, inside & sounding[np.clip(frames, 0, len(sounding) - 1)]


def _sum_at(rng: np.random.Generator, front: Samples, active: npt.NDArray[np.bool_], back: Samples) -> Samples:
    """Both together; the drawn ratio holds over the time that the front sounds."""
    snr_db = ALONE_SNR_DB if rng.random() < ALONE_SHARE else float(rng.uniform(*SNR_DB))
    sounding = np.repeat(active, HOP_SAMPLES)
    if not sounding.any():
        return back
    gain = 10 ** (snr_db / 20) * _rms(back[sounding]) / max(_rms(front[sounding]), 1e-6)
    return np.asarray(back + front * np.float32(gain), dtype=np.float32)


def _finish(rng: np.random.Generator, samples: Samples) -> Samples:
    if rng.random() < ROOM_SHARE:
        samples = _in_a_room(rng, samples)
    if rng.random() < EQUALIZER_SHARE:
        gains_db = rng.uniform(-EQUALIZER_DB, EQUALIZER_DB, 6)
        samples = shape_spectrum(samples, SAMPLE_RATE_HZ, lambda hz: _curve(hz, gains_db))
    level_dbfs = float(rng.uniform(*LEVEL_DBFS))
    samples = set_level(samples, level_dbfs)
    noise = rng.standard_normal(len(samples), dtype=np.float32)
    samples = samples + set_level(noise, level_dbfs + float(rng.uniform(*NOISE_DB)))
    return np.clip(samples, -1.0, 1.0)


def _in_a_room(rng: np.random.Generator, samples: Samples) -> Samples:
    response = echo_response(rng, SAMPLE_RATE_HZ, float(rng.uniform(0.15, 2.0)), float(rng.uniform(-10.0, 6.0)))
    return reverberate(samples, response)


def _curve(frequency_hz: Track, gains_db: npt.NDArray[np.float64]) -> Track:
    """Gains at equal distances on the mel scale, joined by straight lines in dB."""
    place = np.log1p(frequency_hz / 700.0) / np.log1p(SAMPLE_RATE_HZ / 2 / 700.0) * (len(gains_db) - 1)
    return np.asarray(10.0 ** (np.interp(place, np.arange(len(gains_db)), gains_db) / 20.0))


def _filled(rng: np.random.Generator, samples: Samples, length: int) -> Samples:
    """As long as the mixture: a shorter sound starts somewhere and is repeated."""
    if len(samples) >= length:
        return samples[:length]
    return np.tile(np.roll(samples, -int(rng.integers(len(samples)))), -(-length // len(samples)))[:length]


def _log_uniform(rng: np.random.Generator, bounds: Bounds) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


def _rms(samples: Samples) -> float:
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)) + 1e-12))


def _name_of_siren(recording: Recording) -> str:
    return recording.group if recording.kind == "clip" else recording.name


def _odds(names: Sequence[str], sizes: npt.NDArray[np.float64] | None = None) -> npt.NDArray[np.float64]:
    """Odds by size that give all of a name together the root of their size (`BALANCE` .5)."""
    sizes = np.ones(len(names)) if sizes is None else sizes
    total: Counter[str] = Counter()
    for name, size in zip(names, sizes, strict=True):
        total[name] += size
    odds = np.array([size * total[name] ** -BALANCE for name, size in zip(names, sizes, strict=True)])
    return odds / odds.sum() if len(odds) else odds
