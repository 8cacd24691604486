"""Batched changes to log-mel frames on the training device: pitch, tempo, rooms, distance, equalizer, noise, masks.

Frames are [B, F, M], natural logarithms of power unless a name says `power`. What a linear filter or a sum of
independent sounds does to audio it does to the power in each mel band, but for the cross terms, which vanish on
average. Every function takes its random numbers from the generator given to it, so a seed fixes the result.
"""

import math

import torch
from torch import Tensor

from earshot_trainer.network.architecture import FRAMES_PER_HOP, MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.network.level import full_scale_log_power
from earshot_trainer.training.recipe import AugmentRecipe

FRAMES_PER_S = SAMPLE_RATE_HZ / MEL_HOP_SAMPLES
HTK_HZ = 700.0


def uniform(shape: tuple[int, ...], bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Numbers drawn uniformly between the bounds."""
    low, high = bounds
    return low + (high - low) * torch.rand(shape, generator=generator)


def log_uniform(count: int, bounds: tuple[float, float], generator: torch.Generator) -> Tensor:
    """Ratios [count] whose logarithm is uniform between the bounds'."""
    return torch.exp(uniform((count,), (math.log(bounds[0]), math.log(bounds[1])), generator))


def chosen(count: int, share: float, generator: torch.Generator) -> Tensor:
    """Which of `count` items are chosen, bool [count]."""
    return torch.rand(count, generator=generator) < share


def mel_centres_hz(config: ModelConfig) -> Tensor:
    """Centre frequencies of the mel bands [M]: torchaudio's HTK scale."""
    low, high = (math.log1p(edge / HTK_HZ) for edge in (config.mel_min_hz, config.mel_max_hz))
    points = torch.linspace(low, high, config.n_mels + 2)[1:-1]
    return HTK_HZ * torch.expm1(points)


def full_scale_power(config: ModelConfig) -> float:
    """Sum over mel bands of the power of a signal of RMS 1 (0 dBFS), for white and most other spectra."""
    return math.exp(full_scale_log_power(config))


def shift_pitch(frames: Tensor, ratio: Tensor, config: ModelConfig) -> Tensor:
    """Scale every frequency by `ratio` [B] with linear interpolation between bands; what comes from beyond is floor."""
    centres = mel_centres_hz(config).to(frames.device)
    low, high = (math.log1p(edge / HTK_HZ) for edge in (config.mel_min_hz, config.mel_max_hz))
    step = (high - low) / (config.n_mels + 1)
    source = (torch.log1p(centres[None] / ratio.to(frames.device)[:, None] / HTK_HZ) - low) / step - 1.0
    bands = torch.arange(config.n_mels, device=frames.device, dtype=frames.dtype)
    weights = (1.0 - (source[:, None, :] - bands[None, :, None]).abs()).clamp_min(0.0)
    floor = math.log(config.power_floor)
    return torch.bmm(frames - floor, weights) + floor


def read_at(values: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of `values` [B, N, ...] at `position` [B, F] along the second axis, held at its ends."""
    position = position.clamp(0.0, values.shape[1] - 1.001)
    index = position.long()
    share = (position - index).to(values.dtype)
    extra = values.shape[2:]
    wide = index.reshape(*index.shape, *(1 for _ in extra)).expand(*index.shape, *extra)
    return torch.lerp(
        values.gather(1, wide), values.gather(1, wide + 1), share.reshape(*share.shape, *(1 for _ in extra))
    )


def add_room(power: Tensor, decay_s: Tensor, reverberant: Tensor) -> Tensor:
    """Power after a room: each frame rings on, falling by 60 dB in `decay_s` [B], `reverberant` [B] times the direct.

    A diffuse tail adds power, not amplitude (Sabine's model), so it is a convolution along time.
    """
    frames = power.shape[1]
    fall = torch.exp(-math.log(1e6) / (decay_s.to(power.device) * FRAMES_PER_S))
    lag = torch.arange(frames, device=power.device, dtype=power.dtype)
    tail = fall[:, None] ** lag * ((1 - fall) * reverberant.to(power.device))[:, None]
    tail[:, 0] += 1.0
    size = 2 * frames
    spectrum = torch.fft.rfft(power, n=size, dim=1) * torch.fft.rfft(tail, n=size)[:, :, None]
    wet: Tensor = torch.fft.irfft(spectrum, n=size, dim=1)
    return wet[:, :frames].clamp_min(0.0)


def low_pass_log(cutoff_hz: Tensor, config: ModelConfig) -> Tensor:
    """What to add to frames for a second-order low-pass at `cutoff_hz` [B]: [B, 1, M] (distance, a closed window)."""
    centres = mel_centres_hz(config).to(cutoff_hz.device)
    return -torch.log1p((centres[None] / cutoff_hz[:, None]) ** 4)[:, None]


def level_power(power: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mean over frames of the power summed over bands, [B], over the masked frames [B, F] if a mask is given."""
    total = power.sum(dim=2)
    if mask is None:
        return total.mean(dim=1).clamp_min(1e-12)
    return ((total * mask).sum(dim=1) / mask.sum(dim=1).clamp_min(1.0)).clamp_min(1e-12)


def colour(log_mel: Tensor, recipe: AugmentRecipe, config: ModelConfig, generator: torch.Generator) -> Tensor:
    """Equalizer and band limit as curves added to log-mel frames (exact for smooth filters)."""
    batch, _, mels = log_mel.shape
    points = uniform((batch, 1, 6), (-recipe.equalizer_db, recipe.equalizer_db), generator)
    curve_db = torch.nn.functional.interpolate(points, size=mels, mode="linear", align_corners=True)
    limited = chosen(batch, recipe.band_limit_share, generator)
    edge_hz = uniform((batch, 1), recipe.band_limit_hz, generator)
    above = (mel_centres_hz(config)[None] > edge_hz).float().cumsum(dim=1)
    curve_db = curve_db - (limited[:, None] * above * 6.0)[:, None]
    curve = (curve_db * (math.log(10) / 10)).to(log_mel.device)
    return torch.logaddexp(log_mel + curve, torch.full_like(log_mel[:1, :1], math.log(config.power_floor)))


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
    longest = int(recipe.time_mask_s * FRAMES_PER_S)
    width = torch.randint(0, longest + 1, (batch, 1), generator=generator)
    first = torch.randint(0, frames, (batch, 1), generator=generator)
    hidden |= ((time >= first) & (time < first + width))[:, :, None]
    mean = log_mel.mean(dim=(1, 2), keepdim=True)
    return torch.where(hidden.to(log_mel.device), mean, log_mel)


def per_decision(mask: Tensor) -> Tensor:
    """Mean of a per-frame mask [B, F] over each decision's frames, [B, F / 4]."""
    return mask.reshape(len(mask), -1, FRAMES_PER_HOP).mean(dim=2)
