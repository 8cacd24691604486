"""Front ends in place of the normalized logarithm of mel power and the same less its mean over mels."""

import math

import torch
from torch import Tensor, nn

from earshot_trainer.ablations.network import FrontEnd
from earshot_trainer.ablations.smoothing import smooth
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.model import level_and_shape
from earshot_trainer.network.state import State
from earshot_trainer.segments.augment import FRAMES_PER_S, HTK_HZ, mel_centres_hz


class Pcen(FrontEnd):
    """Per-channel energy normalization with trained parameters, one of each for every mel band.

    PCEN = (E / (eps + M) ** alpha + delta) ** r - delta ** r of mel power E and its smoothed version M,
    M[t] = (1 - s) M[t - 1] + s E[t] (Wang et al., Trainable Frontend For Robust and Far-Field Keyword Spotting, 2017).
    They begin with the values that are fixed there. M begins as the first frame; eps is the power floor.
    """

    takes_normalized = False

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.floor = config.power_floor
        self.bands = config.n_mels
        # Trained as logarithms, s as log odds: they stay positive, s below 1.
        self.log_alpha = nn.Parameter(torch.full((self.bands,), math.log(0.98)))
        self.log_delta = nn.Parameter(torch.full((self.bands,), math.log(2.0)))
        self.log_r = nn.Parameter(torch.full((self.bands,), math.log(0.5)))
        self.log_odds_s = nn.Parameter(torch.full((self.bands,), math.log(0.025 / 0.975)))

    def initial_state(self, batch: int) -> State:
        """Return M [B, M] and whether a frame was heard [B, 1], zeros."""
        zeros = self.log_alpha.new_zeros
        return {"pcen_smoothed": zeros(batch, self.bands), "pcen_begun": zeros(batch, 1)}

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, T, M] to PCEN and its shape [B, 2, T, M] and the new state."""
        power = (frames.exp() - self.floor).clamp_min(0.0)
        last = torch.where(state["pcen_begun"] > 0, state["pcen_smoothed"], power[:, 0])
        smoothed = smooth(power, torch.sigmoid(self.log_odds_s), last)
        gain = torch.exp(-self.log_alpha.exp() * torch.log(smoothed + self.floor))
        delta, r = self.log_delta.exp(), self.log_r.exp()
        x = (power * gain + delta) ** r - delta**r
        new_state = {"pcen_smoothed": smoothed[:, -1], "pcen_begun": torch.ones_like(state["pcen_begun"])}
        return level_and_shape(x), new_state


class LogFrequency(FrontEnd):
    """As many bands as there are mels, but spaced evenly in the logarithm of frequency from 100 Hz to the last band.

    A change of pitch is then a shift, as on the axis of a constant-Q transform (Brown, 1991). The normalized mel bands
    are read by linear interpolation on the mel scale, so nothing is resolved more finely than there.
    """

    reading: Tensor
    lowest_hz = 100.0

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        ends = (math.log10(self.lowest_hz), math.log10(config.mel_max_hz))
        wanted, centres = (
            torch.log1p(hertz / HTK_HZ) for hertz in (torch.logspace(*ends, config.n_mels), mel_centres_hz(config))
        )
        place = ((wanted - centres[0]) / (centres[1] - centres[0])).clamp(0, config.n_mels - 1)
        reading = (1 - (place - torch.arange(config.n_mels)[:, None]).abs()).clamp_min(0)  # [mel, log]
        self.register_buffer("reading", reading, persistent=False)

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, T, M] to level and shape [B, 2, T, M] in logarithmic frequency."""
        del state
        return level_and_shape(frames @ self.reading), {}


class MeanSubtraction(FrontEnd):
    """A third channel: the normalized frame less its running mean in each band, which removes what is stationary.

    Cepstral mean subtraction (Atal, 1974) before the cosine transform, online: the mean is exponential with a time
    constant of 3 s. It is divided by the sum of its weights, so at first it is the mean of what there is.
    """

    channels = 3
    share: Tensor
    mean_s = 3.0

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        share = torch.full((config.n_mels,), 1 / (self.mean_s * FRAMES_PER_S))
        self.register_buffer("share", share, persistent=False)

    def initial_state(self, batch: int) -> State:
        """Return the weighted sum [B, M] and the sum of the weights [B, 1], zeros."""
        zeros = self.share.new_zeros
        return {"weighted_sum": zeros(batch, len(self.share)), "sum_of_weights": zeros(batch, 1)}

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, T, M] to level, shape and what is above the running mean [B, 3, T, M], and the new state."""
        total = smooth(frames, self.share, state["weighted_sum"])
        weights = smooth(torch.ones_like(frames[:, :, :1]), self.share[:1], state["sum_of_weights"])
        above = (frames - total / weights)[:, None]
        new_state = {"weighted_sum": total[:, -1], "sum_of_weights": weights[:, -1]}
        return torch.cat([level_and_shape(frames), above], dim=1), new_state
