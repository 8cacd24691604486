"""Batched changes to sound on the training device: speed, rooms, distance, equalizer, band limits, masks.

Every function takes its random numbers from the generator given to it, so a seed fixes the result.
"""

import math

import torch
from torch import Tensor

from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.training.recipe import AugmentRecipe

ROOM_SAMPLES = 8192
LOWEST_RMS = 1e-5


def uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Numbers drawn uniformly between the bounds."""
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator)


def chosen(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Which of `count` items are chosen, bool [count]."""
    return torch.rand(count, generator=generator) < share


def positions(length: int, speed: Tensor, swing: Tensor, centre: Tensor) -> Tensor:
    """Where to read a source that is played at `speed` [B], falling by `swing` [B] around `centre` [B] (0 to 1).

    [B, length]: the integral of speed + swing * tanh((centre - t) / width), a vehicle that passes by.
    """
    width = 0.15 * length
    time = torch.arange(length, device=speed.device, dtype=torch.float32)[None]
    straight = speed[:, None] * time
    if not bool(swing.any()):
        return straight
    middle = (centre * length)[:, None]
    bend = _log_cosh((time - middle) / width) - _log_cosh(middle / width)
    return straight - swing[:, None] * width * bend


def read_at(source: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of `source` [B, N] at `position` [B, T]; beyond the end the last sample is read."""
    position = position.clamp(0.0, source.shape[1] - 1.001)
    index = position.long()
    share = position - index
    return torch.lerp(source.gather(1, index), source.gather(1, index + 1), share)


def _log_cosh(value: Tensor) -> Tensor:
    size = value.abs()
    return size + torch.nn.functional.softplus(-2.0 * size) - math.log(2.0)


def add_room(sound: Tensor, decay_s: Tensor, direct: Tensor, cutoff_hz: Tensor, generator: torch.Generator) -> Tensor:
    """Convolve each sound [B, T] with a synthetic room and a gentle low-pass (distance, a closed window).

    The impulse response is a direct pulse of height `direct` and noise that decays by 60 dB in `decay_s`.
    """
    batch, length = sound.shape
    time_s = torch.arange(ROOM_SAMPLES) / SAMPLE_RATE_HZ
    tail = torch.randn(batch, ROOM_SAMPLES, generator=generator) * torch.exp(-6.9 * time_s / decay_s[:, None])
    tail = tail / tail.square().sum(dim=1, keepdim=True).sqrt()
    tail[:, 0] = direct
    size = length + ROOM_SAMPLES
    response = torch.fft.rfft(tail.to(sound.device), n=size)
    frequency_hz = torch.linspace(0, SAMPLE_RATE_HZ / 2, response.shape[1], device=sound.device)
    response = response / torch.sqrt(1 + (frequency_hz / cutoff_hz.to(sound.device)[:, None]) ** 4)
    wet: Tensor = torch.fft.irfft(torch.fft.rfft(sound, n=size) * response, n=size)
    return wet[:, :length]


def rms(sound: Tensor, mask: Tensor | None = None) -> Tensor:
    """Root mean square of each row, over the masked samples if a mask is given; never below -100 dBFS."""
    power = sound.square()
    if mask is None:
        return power.mean(dim=1).sqrt().clamp_min(LOWEST_RMS)
    total = mask.sum(dim=1).clamp_min(1.0)
    return ((power * mask).sum(dim=1) / total).sqrt().clamp_min(LOWEST_RMS)


def colour(log_mel: Tensor, recipe: AugmentRecipe, floor: float, generator: torch.Generator) -> Tensor:
    """Equalizer and band limit as curves added to log-mel frames [B, F, M] (exact for smooth filters)."""
    batch, _, mels = log_mel.shape
    points = uniform((batch, 1, 6), (-recipe.equalizer_db, recipe.equalizer_db), generator)
    curve_db = torch.nn.functional.interpolate(points, size=mels, mode="linear", align_corners=True)
    limited = chosen(batch, recipe.band_limit_share, generator)
    edge_hz = uniform((batch,), recipe.band_limit_hz, generator)
    top_mel = math.log1p(SAMPLE_RATE_HZ / 2 / 700)
    edge = torch.log1p(edge_hz / 700) / top_mel * mels
    above = (torch.arange(mels)[None] - edge[:, None]).clamp_min(0)
    curve_db = curve_db - (limited[:, None] * above * 6.0)[:, None]
    curve = (curve_db * (math.log(10) / 10)).to(log_mel.device)
    return torch.logaddexp(log_mel + curve, torch.full_like(log_mel[:1, :1], math.log(floor)))


def mask_spectrum(log_mel: Tensor, recipe: AugmentRecipe, generator: torch.Generator) -> Tensor:
    """SpecAugment: mel bands and one short stretch of time set to the segment's mean."""
    batch, frames, mels = log_mel.shape
    hidden = torch.zeros(batch, frames, mels, dtype=torch.bool)
    bins = torch.arange(mels)[None]
    for _ in range(recipe.mel_masks):
        width = torch.randint(0, recipe.mel_mask_bins + 1, (batch, 1), generator=generator)
        first = torch.randint(0, mels, (batch, 1), generator=generator)
        hidden |= ((bins >= first) & (bins < first + width))[:, None, :]
    time = torch.arange(frames)[None]
    longest = int(recipe.time_mask_s * 100)
    width = torch.randint(0, longest + 1, (batch, 1), generator=generator)
    first = torch.randint(0, frames, (batch, 1), generator=generator)
    hidden |= ((time >= first) & (time < first + width))[:, :, None]
    mean = log_mel.mean(dim=(1, 2), keepdim=True)
    return torch.where(hidden.to(log_mel.device), mean, log_mel)
