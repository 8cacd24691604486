"""Enhancements in front of the normalization."""

import math

import torch
from torch import Tensor, nn

from earshot_trainer.ablations.network import Enhancement
from earshot_trainer.ablations.smoothing import smooth
from earshot_trainer.network.architecture import FRAMES_PER_HOP, ModelConfig
from earshot_trainer.network.state import State


class SpectralSubtraction(Enhancement):
    """What is stationary in each mel band, estimated and subtracted from its power; over-subtraction and rest trained.

    max(P - over N, rest N) of power P and noise N (Boll, Suppression of Acoustic Noise in Speech Using Spectral
    Subtraction, 1979; over-subtraction and a rest that hides what it leaves: Berouti, Schwartz and Makhoul, 1979), and
    never more than P. N is the least smoothed power of the last 64 hops, 2.56 s (Martin, Noise Power Spectral Density
    Estimation Based on Optimal Smoothing and Minimum Statistics, 2001; here the smoothing is fixed, .3 of each new hop,
    and the minimum's bias is left to `over`). So N falls with the sound and rises 2.56 s after it: a siren's tone that
    is held for longer is noise to it.

    Of few hops the least says little: N counts by the share of the 64 that was heard, and a stream begins nearly as it
    came.
    """

    share: Tensor
    window_doublings = 6
    window_hops = 2**window_doublings

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.floor = config.power_floor
        # Trained as logarithms, one of each for every band: they stay positive. Of white noise 96 % of frames and bands
        # are below 4 N; it becomes 11 dB quieter and its logarithm varies half as much.
        self.log_over = nn.Parameter(torch.full((config.n_mels,), math.log(4.0)))
        self.log_rest = nn.Parameter(torch.full((config.n_mels,), math.log(0.1)))
        self.register_buffer("share", torch.full((config.n_mels,), 0.3), persistent=False)

    def initial_state(self, batch: int) -> State:
        """Return the smoothed power of the last 63 hops [B, 63, M] and how many of 64 were heard [B, 1], zeros."""
        zeros = self.share.new_zeros
        return {"noise_past": zeros(batch, self.window_hops - 1, len(self.share)), "noise_heard": zeros(batch, 1)}

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, 4n, M], natural logarithms of power, to such frames less the noise and the new state."""
        batch, _, bands = frames.shape
        power = (frames.exp() - self.floor).clamp_min(0.0).reshape(batch, -1, FRAMES_PER_HOP, bands)
        noise, new_state = self.track(power.mean(dim=2), state)
        noise = noise[:, :, None]
        cleaned = torch.maximum(power - self.log_over.exp() * noise, self.log_rest.exp() * noise)
        return torch.log(torch.minimum(cleaned, power) + self.floor).reshape(frames.shape), new_state

    def track(self, power: Tensor, state: State) -> tuple[Tensor, State]:
        """Map the power of hops [B, n, M] to the noise in each [B, n, M] and the new state."""
        past = torch.where(state["noise_heard"][:, None] > 0, state["noise_past"], power[:, :1])
        smoothed = torch.cat([past, smooth(power, self.share, past[:, -1])], dim=1)
        least = smoothed
        for doubling in range(self.window_doublings):  # of 2, 4, ... 64 hops
            least = torch.minimum(least[:, 2**doubling :], least[:, : -(2**doubling)])
        count = torch.arange(1, 1 + power.shape[1], device=power.device)
        heard = (state["noise_heard"] + count).clamp_max(self.window_hops)
        new_state = {"noise_past": smoothed[:, 1 - self.window_hops :], "noise_heard": heard[:, -1:]}
        return least * (heard / self.window_hops)[:, :, None], new_state
