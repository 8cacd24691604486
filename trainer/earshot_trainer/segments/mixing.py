"""Training segments: sirens laid over backgrounds at known times and levels, and negatives.

    bank of log-mel frames -> draw and place (numpy, seeded) -> pitch, tempo -> rooms -> sum of powers at an SNR
      -> level and self-noise -> log-mel segment, targets and weights per decision

`SegmentMixer.batch(step)` depends on the seed, the step and the draw weights alone, so a resumed run sees what an
uninterrupted one would have seen.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.segments import augment
from earshot_trainer.segments.sounds import Siren, Sounds, Span
from earshot_trainer.training.recipe import AugmentRecipe, MixingRecipe
from earshot_trainer.training.teacher import scores_at

REAL, MADE, TRAP, PLAIN = range(4)
"""Kinds of segment: a real siren, a synthesized one, a siren-like trap, a background alone."""
SOURCE_MARGIN_FRAMES = 4
OPENING_DECISIONS = 8
"""Decisions after the cut from the segment before that are not scored."""
QUIETEST_BACKGROUND_DBFS = -75.0
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Segments on the training device.

    `log_mel` [B, F, M]; `targets` and `weights` [B, F / 4] for the siren label, weight 0 where nobody knows; `spans`
    [B] is the index of the background's span. `teacher` [B, F / 4, classes] are the teacher's scores of segments that
    are one background alone, NaN elsewhere; None without a teacher.
    """

    log_mel: Tensor
    targets: Tensor
    weights: Tensor
    spans: npt.NDArray[np.int64]
    teacher: Tensor | None = None


@dataclass
class _Layers:
    """Undistorted ingredients: log-mel [B, N, M] of a siren or trap and of two backgrounds, and masks [B, N].

    `placed` is where the siren or trap was laid, `active` where it sounds.
    """

    front: FloatArray
    placed: FloatArray
    active: FloatArray
    back: FloatArray
    second: FloatArray
    spans: npt.NDArray[np.int64]
    teacher: FloatArray | None


class SegmentMixer:
    """Draws and renders batches of segments."""

    def __init__(
        self,
        sounds: Sounds,
        config: ModelConfig,
        mixing: MixingRecipe,
        change: AugmentRecipe,
        seed: int,
        device: torch.device,
    ) -> None:
        self._sounds = sounds
        self._config = config
        self._mixing = mixing
        self._change = change
        self._seed = seed
        self._device = device
        self._floor = math.log(config.power_floor)
        self._full_scale = augment.full_scale_power(config)
        self._noise_shape = _white_noise(config).to(device)
        self.decisions = mixing.segment_hops
        self.frames = self.decisions * FRAMES_PER_HOP
        self._source_frames = int(self.frames * change.tempo[1]) + SOURCE_MARGIN_FRAMES

    def batch(self, step: int, batch_size: int, span_odds: npt.NDArray[np.float64], rank: int = 0) -> Batch:
        """The segments of one step; `span_odds` is the probability of each negative span."""
        rng = np.random.default_rng([self._seed, 2, step, rank])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        kinds = self._draw_kinds(rng, batch_size)
        layers = self._lay(rng, kinds, span_odds)
        return self._render(layers, torch.from_numpy(kinds), generator)

    def _draw_kinds(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        mixing, sounds = self._mixing, self._sounds
        synthetic = mixing.synthetic_share if sounds.synthetic_sirens else 0.0
        if not sounds.sirens:
            synthetic = 1.0
        trap = mixing.trap_share if sounds.traps else 0.0
        positive, negative = mixing.positive_share, 1.0 - mixing.positive_share
        odds = [positive * (1 - synthetic), positive * synthetic, negative * trap, negative * (1 - trap)]
        return rng.choice(4, size=count, p=odds)

    def _lay(
        self, rng: np.random.Generator, kinds: npt.NDArray[np.int64], span_odds: npt.NDArray[np.float64]
    ) -> _Layers:
        shape = (len(kinds), self._source_frames)
        silence = np.full((*shape, self._config.n_mels), self._floor, dtype=np.float32)
        layers = _Layers(
            front=silence,
            placed=np.zeros(shape, dtype=np.float32),
            active=np.zeros(shape, dtype=np.float32),
            back=silence.copy(),
            second=silence.copy(),
            spans=rng.choice(len(span_odds), size=len(kinds), p=span_odds),
            teacher=self._no_scores(len(kinds)),
        )
        for row, kind in enumerate(kinds):
            if kind != PLAIN:
                self._place_front(rng, self._draw_front(rng, int(kind)), layers, row)
            span = self._sounds.spans[layers.spans[row]]
            start = self._fill_background(rng, span, layers.back[row])
            if rng.random() < self._mixing.second_background_share:
                other = int(rng.choice(len(span_odds), p=self._sounds.span_odds))
                self._fill_background(rng, self._sounds.spans[other], layers.second[row])
            elif kind == PLAIN and layers.teacher is not None and span.scores is not None:
                whole = len(self._sounds.bank.of(span.sound)) * HOP_SAMPLES // FRAMES_PER_HOP
                begin = start * HOP_SAMPLES // FRAMES_PER_HOP
                layers.teacher[row] = scores_at(span.scores, begin, self.decisions, whole)
        return layers

    def _draw_front(self, rng: np.random.Generator, kind: int) -> Siren:
        sounds = self._sounds
        if kind == REAL:
            return sounds.sirens[int(rng.choice(len(sounds.sirens), p=sounds.siren_odds))]
        pool = sounds.synthetic_sirens if kind == MADE else sounds.traps
        return pool[int(rng.integers(len(pool)))]

    def _place_front(self, rng: np.random.Generator, sound: Siren, layers: _Layers, row: int) -> None:
        """Lay the sound somewhere over the row, cut at the row's edges and faded at its own."""
        frames = self._sounds.bank.of(sound.sound)
        length, count = self._source_frames, len(frames)
        earliest = -max(count - length // 2, count // 2)
        start = int(rng.integers(earliest, max(earliest + 1, length - min(count, length) // 3)))
        if count > 1.5 * length and rng.random() < 0.5:
            start = -int(rng.integers(0, count - length))
        left, right = max(start, 0), min(start + count, length)
        fade = _fade_db(rng, count, self._mixing.fade_s)[left - start : right - start]
        piece = frames[left - start : right - start].astype(np.float32) + fade[:, None]
        layers.front[row, left:right] = np.maximum(piece, self._floor)
        layers.placed[row, left:right] = 1.0
        decisions = (np.arange(left, right) - start) // FRAMES_PER_HOP
        layers.active[row, left:right] = sound.active[np.minimum(decisions, len(sound.active) - 1)]

    def _fill_background(self, rng: np.random.Generator, span: Span, out: FloatArray) -> int:
        """Frames from a random place in the span, running on into the recording, then starting over; returns where."""
        frames = self._sounds.bank.of(span.sound)
        start = place = span.start + int(rng.integers(0, max(1, span.count - len(out) // 2)))
        filled = 0
        while filled < len(out):
            piece = frames[place : place + len(out) - filled]
            out[filled : filled + len(piece)] = piece
            filled += len(piece)
            place = 0
        return start

    def _no_scores(self, count: int) -> FloatArray | None:
        scores = self._sounds.spans[0].scores
        if scores is None:
            return None
        return np.full((count, self.decisions, scores.shape[1]), np.nan, dtype=np.float32)

    def _render(self, layers: _Layers, kinds: Tensor, generator: torch.Generator) -> Batch:
        has_front = kinds != PLAIN
        front, placed, active = self._bend_front(layers, has_front, generator)
        back = self._mix_backgrounds(layers, generator)
        power = self._combine(front, active, back, has_front, generator)
        log_mel = self._finish(power, generator)
        targets, weights = self._score(placed, active, (kinds <= MADE).to(self._device))
        teacher = None if layers.teacher is None else torch.from_numpy(layers.teacher).to(self._device)
        return Batch(log_mel=log_mel, targets=targets, weights=weights, spans=layers.spans, teacher=teacher)

    def _bend_front(
        self, layers: _Layers, has_front: Tensor, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Power of the front with its masks, after pitch, tempo, distance and rooms."""
        count, change = len(layers.front), self._change
        position = self._positions(count, generator)
        placed, active = (
            augment.read_at(torch.from_numpy(layer).to(self._device), position)
            for layer in (layers.placed, layers.active)
        )
        frames = augment.read_at(torch.from_numpy(layers.front).to(self._device), position)
        frames = augment.shift_pitch(frames, augment.log_uniform(count, change.pitch, generator), self._config)
        far = augment.chosen(count, change.distance_share, generator)
        cutoff_hz = torch.where(far, augment.log_uniform(count, change.distance_hz, generator), torch.tensor(1e5))
        power = torch.exp(frames + augment.low_pass_log(cutoff_hz.to(self._device), self._config))
        return self._roughen(power, has_front, change.room_share, generator), placed, active

    def _mix_backgrounds(self, layers: _Layers, generator: torch.Generator) -> Tensor:
        """Power of both backgrounds together; the second is 15 dB below to 5 dB above the first."""
        count = len(layers.back)
        powers = []
        for layer in (layers.back, layers.second):
            frames = augment.read_at(torch.from_numpy(layer).to(self._device), self._positions(count, generator))
            ratio = augment.log_uniform(count, self._change.background_pitch, generator)
            powers.append(torch.exp(augment.shift_pitch(frames, ratio, self._config)))
        back, second = powers
        is_there = torch.from_numpy(layers.second.max(axis=(1, 2)) > self._floor)
        ratio_db = augment.uniform((count,), (-15.0, 5.0), generator)
        gain = torch.where(is_there, 10 ** (ratio_db / 10), 0.0).to(self._device)
        gain = gain * augment.level_power(back) / augment.level_power(second)
        return back + second * gain[:, None, None]

    def _positions(self, count: int, generator: torch.Generator) -> Tensor:
        """Where to read each source row, [count, frames]: a steady tempo."""
        tempo = augment.log_uniform(count, self._change.tempo, generator)
        return (tempo[:, None] * torch.arange(self.frames)[None]).to(self._device)

    def _roughen(self, power: Tensor, candidates: Tensor, share: float, generator: torch.Generator) -> Tensor:
        """Rooms for a share of the candidate rows."""
        rows = candidates & augment.chosen(len(power), share, generator)
        count = int(rows.sum())
        if count == 0:
            return power
        decay_s = augment.uniform((count,), self._change.room_decay_s, generator)
        reverberant = 10 ** (augment.uniform((count,), self._change.reverberant_db, generator) / 10)
        rows = rows.to(power.device)
        changed = power.clone()
        changed[rows] = augment.add_room(power[rows], decay_s, reverberant)
        return changed

    def _combine(
        self, front: Tensor, active: Tensor, back: Tensor, has_front: Tensor, generator: torch.Generator
    ) -> Tensor:
        """The front at a drawn ratio to the background, both over the time that the front sounds."""
        count = len(front)
        snr_db = augment.uniform((count,), self._mixing.snr_db, generator)
        alone = has_front & augment.chosen(count, self._mixing.clean_share, generator)
        snr_db = torch.where(alone, 60.0, snr_db).to(self._device)
        sounding = (active > 0.5).float()
        quietest = self._full_scale * 10 ** (QUIETEST_BACKGROUND_DBFS / 10)
        beneath = augment.level_power(back, torch.where(sounding.any(dim=1, keepdim=True), sounding, 1.0))
        gain = 10 ** (snr_db / 10) * beneath.clamp_min(quietest) / augment.level_power(front, sounding)
        gain = torch.where(has_front.to(self._device), gain, 0.0)
        return front * gain[:, None, None] + back

    def _finish(self, power: Tensor, generator: torch.Generator) -> Tensor:
        """A room around everything, level and self-noise; log-mel frames."""
        count = len(power)
        power = self._roughen(power, torch.ones(count, dtype=torch.bool), self._change.mix_room_share, generator)
        level_dbfs = augment.uniform((count,), self._mixing.level_dbfs, generator).to(self._device)
        noise_dbfs = augment.uniform((count,), self._change.noise_dbfs, generator).to(self._device)
        gain = self._full_scale * 10 ** (level_dbfs / 10) / augment.level_power(power)
        noise = (self._full_scale * 10 ** (noise_dbfs / 10))[:, None, None] * self._noise_shape[0]
        ripple = torch.randn(power.shape, generator=generator).to(self._device) * self._noise_shape[1]
        noise = noise * torch.exp(ripple - self._noise_shape[1].square() / 2)
        return torch.log(power * gain[:, None, None] + noise + self._config.power_floor)

    def _score(self, placed: Tensor, active: Tensor, is_siren: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and weights per decision; edges and quiet parts of a siren are not scored."""
        sounding = augment.per_decision(active) > 0.5
        laid = augment.per_decision(placed) > 0.0
        targets = (sounding & is_siren[:, None]).float()
        previous = torch.nn.functional.pad(targets, (1, 0))[:, :-1]
        changes = (targets != previous).float()
        grace = max(1, round(self._mixing.onset_grace_s * SAMPLE_RATE_HZ / HOP_SAMPLES))
        recent = torch.nn.functional.max_pool1d(
            torch.nn.functional.pad(changes, (grace - 1, 0))[:, None], grace, stride=1
        )[:, 0]
        unknown = laid & is_siren[:, None] & (targets == 0)
        weights = torch.where(unknown | (recent > 0), 0.0, 1.0)
        weights[:, :OPENING_DECISIONS] = 0.0
        return targets, weights


def _fade_db(rng: np.random.Generator, count: int, longest_s: float) -> FloatArray:
    """What to add to log power for a fade at both ends: squared sines in amplitude."""
    window = np.ones(count, dtype=np.float32)
    for side in (slice(None), slice(None, None, -1)):
        length = min(count, int(rng.uniform(0.01, max(longest_s, 0.011)) * augment.FRAMES_PER_S))
        window[side][:length] *= np.sin(np.linspace(0.05, np.pi / 2, length, dtype=np.float32)) ** 2
    return np.asarray(2.0 * np.log(np.maximum(window, 1e-6)), dtype=np.float32)


def _white_noise(config: ModelConfig) -> Tensor:
    """White noise of 0 dBFS by band, [2, M]: share of the power, and the deviation of its logarithm in one frame.

    A band over k independent DFT bins (a Hann window makes about 1.5 of them one) has chi-square power of 2k degrees.
    """
    centres = augment.mel_centres_hz(config)
    widths = torch.gradient(centres)[0]
    bins = (widths / (SAMPLE_RATE_HZ / config.window_samples) / 1.5).clamp_min(1.0)
    return torch.stack([widths / widths.sum(), torch.sqrt(torch.log1p(1.0 / bins))])
