"""The streaming network and the whole signal path around it.

Interface that training relies on: `LogMel`, `StreamingCrnn` and `SignalPath` over `ModelConfig`.
Training calls `log_mel(samples, log_mel.initial_cache(batch))` and `network(frames)` with no
state; `network.set_normalization(mean, std)` once, from training data; a checkpoint holds
`network.state_dict()` (the normalization is in it) and `config.to_dict()`.
"""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.network.features import LogMel
from earshot_trainer.network.level import RunningLevel
from earshot_trainer.network.recurrence import run_gru
from earshot_trainer.network.state import State
from earshot_trainer.network.tagger_layers import QUIETEST, Convolution, TaggerLayers, tagger_normalization
from earshot_trainer.network.wavelets import WaveletBranch

__all__ = ["LogMel", "ModelConfig", "SignalPath", "StreamingCrnn"]


class CausalConv(nn.Module):
    """Convolution over [B, C, time, mel] that sees no future; the past comes from a cache.

    The cache holds the last `kernel - stride` time steps of the input, zeros at the start.
    """

    def __init__(
        self, channels: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int], groups: int = 1
    ) -> None:
        """Build for `channels` (in, out); `kernel` and `stride` are (time, mel)."""
        super().__init__()
        self.cache_steps = kernel[0] - stride[0]
        self.conv = nn.Conv2d(*channels, kernel, stride, padding=(0, kernel[1] // 2), groups=groups, bias=False)

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, C, T, M] and cache [B, C, cache_steps, M] to the output and the new cache."""
        extended = torch.cat([cache, x], dim=2)
        return self.conv(extended), extended[:, :, -self.cache_steps :]


class SeparableBlock(nn.Module):
    """Depthwise causal convolution, then a pointwise one with batch norm and ReLU."""

    def __init__(self, channels: tuple[int, int], kernel: tuple[int, int], stride: tuple[int, int]) -> None:
        """Build for `channels` (in, out); `kernel` and `stride` are (time, mel)."""
        super().__init__()
        self.depthwise = CausalConv((channels[0], channels[0]), kernel, stride, groups=channels[0])
        self.pointwise = nn.Conv2d(*channels, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels[1])

    def forward(self, x: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [B, C, T, M] and its cache to the block's output and the new cache."""
        x, cache = self.depthwise(x, cache)
        return torch.relu(self.norm(self.pointwise(x))), cache


class Embedding(nn.Linear):
    """One rectified vector for each time step, from all its channels and mels."""

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, C, T, M] to [T, B, out_features]."""
        if not self.training:
            return torch.relu(super().forward(x.permute(2, 0, 1, 3).flatten(2)))
        # Weights in the convolutions' order of memory instead of activations and gradients in that of the weights.
        weight = self.weight.reshape(-1, x.shape[1], x.shape[3]).transpose(1, 2).flatten(1)
        x = nn.functional.linear(x.permute(0, 2, 3, 1).flatten(2), weight, self.bias)
        return torch.relu(x).transpose(0, 1)


def level_and_shape(x: Tensor) -> Tensor:
    """Map frames [B, T, M] to two channels [B, 2, T, M]: as they are, and less their mean over mels."""
    x = x[:, None]
    return torch.cat([x, x - x.mean(dim=3, keepdim=True)], dim=1)


class StreamingCrnn(nn.Module):
    """Log-mel frames to logits, one per label every four frames; causal, with explicit state.

    Frames are brought to one level first, if the configuration says so. Two input channels, the normalized frame and
    the same frame less its mean over mels, so that the network can tell a sound's shape from its level. A second
    branch, if there is one, sees how each band changes over up to 2.56 s and joins behind the first block. It takes the
    frames as they came: changes of the level that they are brought to are none of the sound's. All of these
    convolutions may be the tagger's in their place.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: ModelConfig) -> None:
        """Build with random weights and no normalization (mean 0, deviation 1)."""
        super().__init__()
        self.config = config
        self.level = RunningLevel(config) if config.level_s else None
        self.wavelets = WaveletBranch(config) if config.wavelet_channels else None
        self.tagger = TaggerLayers(config) if config.tagger_layers else None
        if self.tagger is None:
            stem, *widths = config.channels
            self.stem = CausalConv((2, stem), kernel=(5, 5), stride=(2, 2))
            self.stem_norm = nn.BatchNorm2d(stem)
            self.blocks = nn.ModuleList(
                [
                    SeparableBlock((stem, widths[0]), kernel=(4, 5), stride=(2, 2)),
                    SeparableBlock((widths[0] + config.wavelet_channels, widths[1]), kernel=(3, 3), stride=(1, 2)),
                    SeparableBlock((widths[1], widths[2]), kernel=(3, 3), stride=(1, 2)),
                ]
            )
        self.embedding = Embedding(config.channels[-1] * self.bands, config.embedding)
        self.gru = nn.GRU(config.embedding, config.hidden)
        self.dropout = nn.Dropout(config.dropout)
        self.output = nn.Linear(config.hidden, len(config.labels))
        self.register_buffer("mean", torch.zeros(config.n_mels))
        self.register_buffer("std", torch.ones(config.n_mels))
        if self.tagger is not None:
            self.set_normalization(*tagger_normalization(config))
        # A third faster to train on a CPU.
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @property
    def bands(self) -> int:
        """How many bands are left of the mels behind the convolutions."""
        return self.config.n_mels // 16 if self.tagger is None else self.tagger.bands

    def set_normalization(self, mean: Tensor, std: Tensor) -> None:
        """Fix the per-mel mean and standard deviation of log-mel frames, each [n_mels]."""
        self.mean.copy_(mean)
        self.std.copy_(std)

    def initial_state(self, batch: int) -> State:
        """Return the state before the first frame: zeros, by name, batch first."""
        shapes: dict[str, tuple[int, ...]] = {} if self.level is None else {"level": (2,)}
        if self.tagger is not None:
            shapes |= self.tagger.state_shapes()
        else:
            stem, first, second, _ = self.config.channels
            mels = self.config.n_mels
            shapes |= {
                "stem": (self.stem.conv.in_channels, self.stem.cache_steps, mels),
                "conv1": (stem, 2, mels // 2),
                "conv2": (first + self.config.wavelet_channels, 2, mels // 4),
                "conv3": (second, 2, mels // 8),
            }
        shapes |= {"gru": (self.config.hidden,)}
        if self.wavelets is not None:
            shapes |= self.wavelets.details.state_shapes()
        zeros = {name: self.mean.new_zeros(batch, *shape) for name, shape in shapes.items()}
        if self.tagger is not None:
            return zeros
        # Of the convolutions' own layout, or torch.cat would convert every activation twice.
        return {
            name: value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value
            for name, value in zeros.items()
        }

    def forward(self, log_mel: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map frames [B, 4n, n_mels] and state to logits [B, n, labels] and the new state.

        No state means the initial one.
        """
        x, new_state = self.read(log_mel, state)
        return self.output(self.dropout(x)).transpose(0, 1), new_state

    def read(self, log_mel: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Map frames [B, 4n, n_mels] and state to what the output reads [n, B, hidden] and the new state."""
        if state is None:
            state = self.initial_state(log_mel.shape[0])
        new_state: State = {}
        levelled = log_mel
        if self.level is not None:
            levelled, new_state["level"] = self.level(log_mel, state["level"])
        x, of_convolutions = self._convolve(log_mel, levelled, state)
        x, of_memory = self._remember(self.dropout(self.embedding(x)), state)
        return x, new_state | of_convolutions | of_memory

    def tagger_frames(self, levelled: Tensor) -> Tensor:
        """Map frames [B, T, M] at one level to those that the published tagger would make: logarithms of magnitudes."""
        return ((levelled - self.mean) / self.std).clamp_min(QUIETEST)

    def _convolve(self, log_mel: Tensor, levelled: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, 4n, M], as they came and at one level, to [B, channels[-1], n, bands] and the new state."""
        if self.tagger is not None:
            return self.tagger(self.tagger_frames(levelled)[:, None], state)  # type: ignore[no-any-return]
        x, new_state = self._see(levelled, state)
        x, new_state["stem"] = self.stem(x, state["stem"])
        x = torch.relu(self.stem_norm(x))
        for index, block in enumerate(self.blocks, start=1):
            x, new_state[f"conv{index}"] = block(x, state[f"conv{index}"])
            if index == 1 and self.wavelets is not None:
                changes, of_changes = self.wavelets(log_mel, self.std, state)
                x = torch.cat([x, changes], dim=1)
                new_state |= of_changes
        return x, new_state

    def _see(self, log_mel: Tensor, state: State) -> tuple[Tensor, State]:
        """Map frames [B, T, M] to the stem's channels [B, C, T, M] and the new state of what makes them, if any."""
        del state
        return level_and_shape((log_mel - self.mean) / self.std), {}

    def _remember(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Map x [T, B, embedding] to what the output reads [T, B, hidden] and the memory's new state."""
        x, hidden = self._recur(x, state["gru"])
        return x, {"gru": hidden}

    def _recur(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [T, B, embedding] and the hidden state [B, H] to the outputs [T, B, H] and the new state."""
        if self.training and x.dtype == torch.float32 and x.device.type == "cpu":
            return run_gru(self.gru, x, hidden)
        x, last = self.gru(x, hidden[None])
        return x, last.squeeze(0)


def beginning_with(
    convolutions: Iterable[Convolution], build: Callable[[ModelConfig], StreamingCrnn]
) -> Callable[[ModelConfig], StreamingCrnn]:
    """Return what builds a network as `build` does, with the published tagger's weights in its first layers."""
    layers = tuple(convolutions)

    def begin(config: ModelConfig) -> StreamingCrnn:
        network = build(config)
        if network.tagger is not None:
            network.tagger.take(layers)
        return network

    return begin


class SignalPath(nn.Module):
    """Samples to posteriors with every bit of state explicit: the graph that nodes run."""

    def __init__(self, network: StreamingCrnn) -> None:
        """Put the log-mel in front of `network`."""
        super().__init__()
        self.log_mel = LogMel(network.config)
        self.network = network

    def initial_state(self, batch: int) -> State:
        """Return zeros by name; `samples` is the past of the log-mel windows."""
        return {"samples": self.log_mel.initial_cache(batch)} | self.network.initial_state(batch)

    def forward(self, samples: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """Map samples [B, n * 640] to posteriors [B, n, labels], frames [B, 4n, mels], state in its own order."""
        log_mel, cache = self.log_mel(samples, state["samples"])
        logits, new_state = self.network(log_mel, state)
        new_state["samples"] = cache
        return torch.sigmoid(logits), log_mel, {name: new_state[name] for name in state}
