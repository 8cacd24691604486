"""Automatic gain: log-mel frames brought to one level, that of the last seconds.

A siren far away and the same one near differ by their level alone, and so do two microphones. Without this a network
hears less in what is quiet than there is to hear.
"""

import math

import torch
from torch import Tensor, nn

from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig

TARGET_DBFS = -23.0
QUIETEST_DBFS = -60.0
"""What is quieter is not made louder: it is a microphone's own noise."""


def full_scale_log_power(config: ModelConfig) -> float:
    """Natural logarithm of the sum over mel bands of the power of a signal of RMS 1 (0 dBFS).

    By Parseval's theorem over the one-sided spectrum window / 2 * sum(hann ** 2) = 3 / 16 * window ** 2; the triangular
    filters add up to 1 at almost every frequency. Where frames are of magnitudes, this holds for white noise within .1
    dB: a mean magnitude squared is pi / 4 of the mean power, and the tagger's DFT has 512 / 400 as many points.
    """
    return math.log(3 / 16 * config.window_samples**2)


class RunningLevel(nn.Module):
    """Exponential average of power with time constant `config.level_s`, and frames shifted by its logarithm.

    State is [B, 2]: the average so far, and the part of its weights that has been seen, by which it is divided: a
    stream's first hop is brought to the target at once.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.keep = math.exp(-HOP_SAMPLES / SAMPLE_RATE_HZ / config.level_s)
        self._full_scale = full_scale_log_power(config)

    def forward(self, log_mel: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Map frames [B, 4n, mels] and state [B, 2] to levelled frames and the new state."""
        batch, frames, mels = log_mel.shape
        hops = log_mel.reshape(batch, frames // FRAMES_PER_HOP, FRAMES_PER_HOP * mels)
        power = hops.exp().sum(dim=2) / FRAMES_PER_HOP
        averages, state = self.average(torch.stack([power, torch.ones_like(power)], dim=2), state)
        level = torch.log(averages[:, :, 0] / averages[:, :, 1])
        quietest, target = (self._full_scale + dbfs / 10 * math.log(10) for dbfs in (QUIETEST_DBFS, TARGET_DBFS))
        shift = target - level.clamp_min(quietest)
        return (hops + shift[:, :, None]).reshape(batch, frames, mels), state

    def average(self, values: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Running averages [B, n, 2] of `values` [B, n, 2], all hops at once, and the last one [B, 2]."""
        hops = torch.arange(values.shape[1], device=values.device)
        age = hops[:, None] - hops
        weights = torch.where(age >= 0, (1 - self.keep) * self.keep ** age.clamp_min(0).float(), 0.0)
        averages = weights @ values + (self.keep ** (hops + 1.0))[:, None] * state[:, None]
        return averages, averages[:, -1]
