"""Wavelets of the log-mel frames: how each band's level changes, over 80 ms to 2.56 s.

The convolutions see a quarter of a second; what lasts longer reaches the recurrent layer with its bands merged. A
siren's sweep, or the step between its two tones, takes longer and tells it from most of what has its pitch.
"""

import torch
from torch import Tensor, nn

from earshot_trainer.network.architecture import FRAMES_PER_HOP, ModelConfig
from earshot_trainer.network.state import State

OCTAVES = 3
"""Scales of a stage, each twice as long as the one before."""
DILATIONS = (1, 2**OCTAVES)
"""Hops between the values that a stage compares; the second one continues where the first one ends."""
SCALES = OCTAVES * len(DILATIONS)


class HaarDetails(nn.Module):
    """Haar's details along time of each band, over 2, 4, ... 64 hops: the newer half's mean less the older half's.

    The algorithme a trous (Shensa, The Discrete Wavelet Transform: Wedding the A Trous and Mallat Algorithms, 1992) in
    its causal form (Renaud, Starck and Murtagh, Wavelet-Based Combined Signal Filtering and Prediction, 2005): nothing
    is decimated and no hop looks ahead. Before a stream's first hop lie as many more of it as are needed.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.bands = config.n_mels

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return what a stream carries on: whether it has begun, and each stage's past."""
        return {"wavelet_begun": (1,)} | {
            _past(dilation): ((2**OCTAVES - 1) * dilation, self.bands) for dilation in DILATIONS
        }

    def forward(self, levels: Tensor, state: State) -> tuple[Tensor, State]:
        """Map a value of each band and hop [B, n, M] to details from short to long [B, SCALES, n, M], new state."""
        smooth, hops, first = levels, levels.shape[1], levels[:, 0, None]
        unheard = 1 - state["wavelet_begun"][:, None]  # then the past is zeros, in place of which comes the first hop
        details = []
        new_state = {"wavelet_begun": torch.ones_like(state["wavelet_begun"])}
        for dilation in DILATIONS:
            extended = torch.cat([state[_past(dilation)] + unheard * first, smooth], dim=1)
            found, smooth = self.stage(extended, dilation)
            details.append(found)
            new_state[_past(dilation)] = extended[:, hops:]
        return torch.cat(details, dim=1), new_state

    def stage(self, extended: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
        """Map 7 * dilation past hops and n more [B, ..., M] to details [B, OCTAVES, n, M] and means [B, n, M].

        The means are those of the newest 8 values that lie `dilation` apart.
        """
        past, smooth, details = (2**OCTAVES - 1) * dilation, extended, []
        for octave in range(OCTAVES):
            step = dilation * 2**octave
            newer, older = smooth[:, step:], smooth[:, :-step]
            details.append((newer - older)[:, past - (2 * step - dilation) :])
            smooth = (newer + older) / 2
        return torch.stack(details, dim=1), smooth


class WaveletBranch(nn.Module):
    """Channels of `config.wavelet_channels` from the details alone, one step a hop, a quarter as many bands.

    The details are in units of each band's deviation; the convolutions behind them see one hop at a time.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width = config.wavelet_channels
        self.details = HaarDetails(config)
        self.stem = nn.Conv2d(SCALES, width, (1, 5), (1, 2), padding=(0, 2), bias=False)
        self.stem_norm = nn.BatchNorm2d(width)
        self.depthwise = nn.Conv2d(width, width, (1, 5), (1, 2), padding=(0, 2), groups=width, bias=False)
        self.pointwise = nn.Conv2d(width, width, 1, bias=False)
        self.norm = nn.BatchNorm2d(width)

    def forward(self, log_mel: Tensor, deviation: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, 4n, M] and each band's deviation [M] to [B, wavelet_channels, n, M / 4] and the new state."""
        batch, frames, bands = log_mel.shape
        hops = log_mel.reshape(batch, frames // FRAMES_PER_HOP, FRAMES_PER_HOP, bands).mean(dim=2)
        details, new_state = self.details(hops / deviation, state)
        # Of the convolutions' own layout, or each of them would convert it.
        x = torch.relu(self.stem_norm(self.stem(details.contiguous(memory_format=torch.channels_last))))
        return torch.relu(self.norm(self.pointwise(self.depthwise(x)))), new_state


def _past(dilation: int) -> str:
    return f"wavelet_past{dilation}"
