"""Training segments: sirens laid over backgrounds at known times and levels, and negatives.

`SegmentMixer.batch(step)` depends on the seed, the step and the draw weights alone, so a resumed run sees what an
uninterrupted one would have seen.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.segments import augment
from earshot_trainer.segments.sounds import Siren, Sounds, Span
from earshot_trainer.training.recipe import AugmentRecipe, MixingRecipe
from earshot_trainer.training.teacher import scores_at

MASK_STEP_SAMPLES = 160
FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Batch:
    """Segments on the training device.

    `samples` [B, T]; `targets` and `weights` [B, T / 640] for the siren label, weight 0 where nobody knows;
    `spans` [B] is the index of the background's span. `teacher` [B, T / 640, classes] are the teacher's scores of
    segments that are one background alone, NaN elsewhere; None without a teacher.
    """

    samples: Tensor
    targets: Tensor
    weights: Tensor
    spans: npt.NDArray[np.int64]
    teacher: Tensor | None = None


@dataclass
class _Layers:
    """Undistorted ingredients, [B, N]: siren or trap, where it is laid, where it sounds, two backgrounds.

    The two masks have one value per 10 ms.
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
        self, sounds: Sounds, mixing: MixingRecipe, change: AugmentRecipe, seed: int, device: torch.device
    ) -> None:
        self._sounds = sounds
        self._mixing = mixing
        self._change = change
        self._seed = seed
        self._device = device
        self.segment_samples = round(mixing.segment_s * SAMPLE_RATE_HZ / HOP_SAMPLES) * HOP_SAMPLES
        fastest = change.speed[1] + change.doppler_depth
        self._source_samples = int(self.segment_samples * fastest) + 16

    def batch(self, step: int, batch_size: int, span_odds: npt.NDArray[np.float64]) -> Batch:
        """The segments of one step; `span_odds` is the probability of each negative span."""
        rng = np.random.default_rng([self._seed, 2, step])
        generator = torch.Generator().manual_seed(int(rng.integers(2**62)))
        kinds = self._draw_kinds(rng, batch_size)
        layers = self._lay(rng, kinds, span_odds)
        is_siren = torch.from_numpy(kinds < 2)
        return self._render(layers, is_siren, torch.from_numpy(kinds < 3), generator)

    def _draw_kinds(self, rng: np.random.Generator, count: int) -> npt.NDArray[np.int64]:
        """0 real siren, 1 synthesized siren, 2 trap, 3 background alone."""
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
        shape = (len(kinds), self._source_samples)
        coarse = (shape[0], -(-shape[1] // MASK_STEP_SAMPLES))
        layers = _Layers(
            front=np.zeros(shape, dtype=np.float32),
            placed=np.zeros(coarse, dtype=np.float32),
            active=np.zeros(coarse, dtype=np.float32),
            back=np.zeros(shape, dtype=np.float32),
            second=np.zeros(shape, dtype=np.float32),
            spans=rng.choice(len(span_odds), size=len(kinds), p=span_odds),
            teacher=self._no_scores(len(kinds)),
        )
        for row, kind in enumerate(kinds):
            if kind < 3:
                self._place_front(rng, self._draw_front(rng, int(kind)), layers, row)
            span = self._sounds.spans[layers.spans[row]]
            start = _fill_background(rng, span, layers.back[row])
            if rng.random() < self._mixing.second_background_share:
                other = int(rng.choice(len(span_odds), p=self._sounds.span_odds))
                _fill_background(rng, self._sounds.spans[other], layers.second[row])
            elif kind == 3 and layers.teacher is not None and span.scores is not None:
                layers.teacher[row] = scores_at(span.scores, start, layers.teacher.shape[1], len(span.samples))
        return layers

    def _draw_front(self, rng: np.random.Generator, kind: int) -> Siren:
        sounds = self._sounds
        if kind == 0:
            return sounds.sirens[int(rng.choice(len(sounds.sirens), p=sounds.siren_odds))]
        pool = sounds.synthetic_sirens if kind == 1 else sounds.traps
        return pool[int(rng.integers(len(pool)))]

    def _place_front(self, rng: np.random.Generator, sound: Siren, layers: _Layers, row: int) -> None:
        """Lay the sound somewhere over the row, cut at the row's edges and faded at its own."""
        length = self._source_samples
        count = len(sound.samples)
        earliest = -max(count - length // 2, count // 2)
        start = int(rng.integers(earliest, max(earliest + 1, length - min(count, length) // 3)))
        if count > 1.5 * length and rng.random() < 0.5:
            start = -int(rng.integers(0, count - length))
        left, right = max(start, 0), min(start + count, length)
        samples = sound.samples[left - start : right - start].astype(np.float32) / 32768.0
        fade = _fade_window(rng, count, self._mixing.fade_s)[left - start : right - start]
        layers.front[row, left:right] = samples * fade
        first, last = -(-left // MASK_STEP_SAMPLES), right // MASK_STEP_SAMPLES
        layers.placed[row, first:last] = 1.0
        frames = (np.arange(first, last) * MASK_STEP_SAMPLES - start) // HOP_SAMPLES
        layers.active[row, first:last] = sound.active[frames]

    def _render(self, layers: _Layers, is_siren: Tensor, has_front: Tensor, generator: torch.Generator) -> Batch:
        front, placed, active = self._warp_front(layers, generator)
        front = self._roughen(front, has_front, generator)
        back = self._mix_backgrounds(layers, generator)
        samples = self._combine(front, active, back, has_front, generator)
        samples = self._finish(samples, generator)
        targets, weights = self._score(placed, active, is_siren.to(self._device))
        teacher = None if layers.teacher is None else torch.from_numpy(layers.teacher).to(self._device)
        return Batch(samples=samples, targets=targets, weights=weights, spans=layers.spans, teacher=teacher)

    def _no_scores(self, count: int) -> FloatArray | None:
        scores = self._sounds.spans[0].scores
        if scores is None:
            return None
        frames = self.segment_samples // HOP_SAMPLES
        return np.full((count, frames, scores.shape[1]), np.nan, dtype=np.float32)

    def _warp_front(self, layers: _Layers, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        count = len(layers.front)
        speed = augment.uniform((count,), self._change.speed, generator).to(self._device)
        passing = augment.chosen(count, self._change.doppler_share, generator).float()
        swing = (passing * torch.rand(count, generator=generator) * self._change.doppler_depth).to(self._device)
        centre = torch.rand(count, generator=generator).to(self._device)
        position = augment.positions(self.segment_samples, speed, swing, centre)
        front = augment.read_at(torch.from_numpy(layers.front).to(self._device), position)
        coarse = position[:, MASK_STEP_SAMPLES // 2 :: MASK_STEP_SAMPLES] / MASK_STEP_SAMPLES
        placed, active = (
            augment.read_at(torch.from_numpy(layer).to(self._device), coarse)
            for layer in (layers.placed, layers.active)
        )
        return front, placed, active

    def _mix_backgrounds(self, layers: _Layers, generator: torch.Generator) -> Tensor:
        count = len(layers.back)
        speed = augment.uniform((count,), self._change.speed, generator).to(self._device)
        still = torch.zeros(count, device=self._device)
        position = augment.positions(self.segment_samples, speed, still, still)
        back = augment.read_at(torch.from_numpy(layers.back).to(self._device), position)
        second = torch.from_numpy(layers.second[:, : self.segment_samples]).to(self._device)
        ratio_db = augment.uniform((count, 1), (-15.0, 5.0), generator).to(self._device)
        second = second / augment.rms(second)[:, None] * augment.rms(back)[:, None] * 10 ** (ratio_db / 20)
        return back + second

    def _roughen(self, sound: Tensor, candidates: Tensor, generator: torch.Generator) -> Tensor:
        """Rooms and distance for a share of the candidate rows."""
        chosen = candidates & augment.chosen(len(sound), self._change.room_share, generator)
        count = int(chosen.sum())
        if count == 0:
            return sound
        decay_s = augment.uniform((count,), self._change.room_decay_s, generator)
        direct = augment.uniform((count,), (0.3, 3.0), generator)
        far = augment.chosen(count, self._change.distance_share, generator)
        cutoff_hz = torch.where(far, augment.uniform((count,), (800.0, 4000.0), generator), torch.tensor(20_000.0))
        rows = chosen.to(sound.device)
        changed = sound.clone()
        changed[rows] = augment.add_room(sound[rows], decay_s, direct, cutoff_hz, generator)
        return changed

    def _combine(
        self, front: Tensor, active: Tensor, back: Tensor, has_front: Tensor, generator: torch.Generator
    ) -> Tensor:
        count = len(front)
        snr_db = augment.uniform((count, 1), self._mixing.snr_db, generator)
        alone = has_front & augment.chosen(count, self._mixing.clean_share, generator)
        snr_db = torch.where(alone[:, None], 60.0, snr_db).to(self._device)
        sounding = active.repeat_interleave(MASK_STEP_SAMPLES, dim=1)
        front = front / augment.rms(front, sounding)[:, None]
        back = back / augment.rms(back).clamp_min(10 ** (-75 / 20))[:, None]
        front_gain = torch.where(has_front[:, None].to(self._device), 10 ** (snr_db / 20), 0.0)
        return front * front_gain + back

    def _finish(self, samples: Tensor, generator: torch.Generator) -> Tensor:
        """Whole-mix room, level, self-noise and clipping."""
        count = len(samples)
        samples = self._roughen(samples, augment.chosen(count, 0.3, generator), generator)
        level_dbfs = augment.uniform((count, 1), self._mixing.level_dbfs, generator).to(self._device)
        noise_dbfs = augment.uniform((count, 1), self._change.noise_dbfs, generator).to(self._device)
        samples = samples / augment.rms(samples)[:, None] * 10 ** (level_dbfs / 20)
        noise = torch.randn(samples.shape, generator=generator).to(self._device)
        samples = samples + noise * 10 ** (noise_dbfs / 20)
        driven = augment.chosen(count, self._change.clip_share, generator)[:, None].to(self._device)
        return torch.where(driven, samples * 8.0, samples).clamp(-1.0, 1.0)

    def _score(self, placed: Tensor, active: Tensor, is_siren: Tensor) -> tuple[Tensor, Tensor]:
        """Targets and weights per decision frame; edges and quiet parts of a siren are not scored."""
        frames = self.segment_samples // HOP_SAMPLES
        sounding = active.reshape(len(active), frames, -1).mean(dim=2) > 0.5
        laid = placed.reshape(len(placed), frames, -1).mean(dim=2) > 0.0
        targets = (sounding & is_siren[:, None]).float()
        previous = torch.nn.functional.pad(targets, (1, 0))[:, :-1]
        changes = (targets != previous).float()
        grace = max(1, round(self._mixing.onset_grace_s * SAMPLE_RATE_HZ / HOP_SAMPLES))
        recent = torch.nn.functional.max_pool1d(
            torch.nn.functional.pad(changes, (grace - 1, 0))[:, None], grace, stride=1
        )[:, 0]
        unknown = laid & is_siren[:, None] & (targets == 0)
        weights = torch.where(unknown | (recent > 0), 0.0, 1.0)
        return targets, weights


def _fill_background(rng: np.random.Generator, span: Span, out: FloatArray) -> int:
    """Audio from a random place in the span, running on into the recording and then starting over; returns where."""
    start = place = span.start + int(rng.integers(0, max(1, span.count - len(out) // 2)))
    filled = 0
    while filled < len(out):
        piece = span.samples[place : place + len(out) - filled]
        out[filled : filled + len(piece)] = piece
        filled += len(piece)
        place = 0
    out /= 32768.0
    return start


def _fade_window(rng: np.random.Generator, count: int, longest_s: float) -> FloatArray:
    window = np.ones(count, dtype=np.float32)
    for side in (slice(None), slice(None, None, -1)):
        length = min(count, int(rng.uniform(0.005, max(longest_s, 0.006)) * SAMPLE_RATE_HZ))
        window[side][:length] *= np.sin(np.linspace(0.0, np.pi / 2, length, dtype=np.float32)) ** 2
    return window
