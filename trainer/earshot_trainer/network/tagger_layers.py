"""The first convolutions of the published tagger (YAMNet) as the network's own: causal, one step every 40 ms.

What they tell apart was learnt from two million clips; a household's corpus has a few thousand. The tagger's later
strides along time are not taken: the layers behind them look at every second or fourth step instead (dilation), which
gives what the tagger would give for a window that begins at any 40 ms.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, hardtanh_, pad

from earshot_trainer.network.architecture import FRAMES_PER_HOP, TAGGER_FROZEN_LAYERS, ModelConfig
from earshot_trainer.network.features import TAGGER_WINDOW_SAMPLES, mel_filters, tagger_triangles
from earshot_trainer.network.state import State

BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1))
"""Width and stride of each pair of a depthwise and a pointwise convolution (MobileNet v1, Howard et al., 2017)."""
STEM_WIDTH = 32
QUIETEST = math.log(1e-3)
"""The tagger adds .001 to magnitudes before it takes their logarithm."""
LEAST_AREA = 1e-3
"""Of a filter too narrow for any bin of the DFT: it hears nothing."""


class Convolution(Protocol):
    """A layer of the tagger: `weight` [out, in / groups, 3 or 1, 3 or 1] and `bias` [out]."""

    weight: Tensor
    bias: Tensor


@dataclass(frozen=True)
class LayerShape:
    """One convolution of 3 by 3 or, pointwise, of 1 by 1.

    Attributes:
        stride: along mels and time; `time_stride` is what is left of it, `dilation` what the strides that are not
            taken turned into.
        mels: of its input.
    """

    inputs: int
    outputs: int
    kernel: int
    stride: int
    time_stride: int
    dilation: int
    mels: int

    @property
    def groups(self) -> int:
        """As many as channels for a depthwise convolution."""
        return self.inputs if self.kernel > 1 and self.inputs > 1 else 1

    @property
    def past(self) -> int:
        """Time steps before the newest ones that it looks at."""
        return (self.kernel - 1) * self.dilation + 1 - self.time_stride if self.kernel > 1 else 0


def layer_shapes(count: int, mels: int) -> list[LayerShape]:
    """The first `count` convolutions for frames of `mels` bands."""
    shapes = [LayerShape(1, STEM_WIDTH, 3, 2, 2, 1, mels)]
    frames_per_step, dilation, width, mels = 2, 1, STEM_WIDTH, mels // 2
    for outputs, stride in BLOCKS:
        taken = stride if frames_per_step < FRAMES_PER_HOP else 1
        shapes.append(LayerShape(width, width, 3, stride, taken, dilation, mels))
        frames_per_step, dilation, mels = frames_per_step * taken, dilation * stride // taken, mels // stride
        shapes.append(LayerShape(width, outputs, 1, 1, 1, 1, mels))
        width = outputs
    return shapes[:count]


class TaggerLayer(nn.Module):
    """A causal convolution with ReLU6; no norm, which the tagger's file has folded into its weights."""

    def __init__(self, shape: LayerShape) -> None:
        super().__init__()
        self.shape = shape
        self.conv = nn.Conv2d(
            shape.inputs,
            shape.outputs,
            shape.kernel,
            (shape.time_stride, shape.stride),
            padding=(0, 1 if shape.kernel > 1 and shape.stride == 1 else 0),
            dilation=(shape.dilation, 1),
            groups=shape.groups,
        )

    def forward(self, x: Tensor, cache: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """Map x [B, C, T, M] and the steps before it, if it looks at any, to the output and the new cache.

        A cache is [B, past, M, C]: channels last, as convolutions lay out what they compute.
        """
        if cache is not None:
            x = torch.cat([cache.permute(0, 3, 1, 2), x], dim=2)
            cache = x[:, :, -self.shape.past :].permute(0, 2, 3, 1)
            if self.shape.stride == 2:  # as in the tagger: even sizes are padded at their end alone
                x = pad(x, (0, 1))
        return hardtanh_(self._convolve(x), 0.0, 6.0), cache

    def _convolve(self, x: Tensor) -> Tensor:
        dilation, conv = self.shape.dilation, self.conv
        if dilation == 1 or not self.training or x.shape[2] % dilation:
            return conv(x)  # type: ignore[no-any-return]
        # Every second step is a stream of its own: torch's gradient of a dilated depthwise convolution is slow.
        x = conv2d(_apart(x, dilation), conv.weight, conv.bias, conv.stride, conv.padding, groups=conv.groups)
        return _together(x, dilation)


class TaggerLayers(nn.Module):
    """The tagger's first `config.tagger_layers` convolutions, then a pointwise one to `config.channels[-1]` of our own.

    Attributes:
        bands: of the output.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self._shapes = layer_shapes(config.tagger_layers, config.n_mels)
        self.bands = self._shapes[-1].mels
        self.layers = nn.ModuleList(TaggerLayer(shape) for shape in self._shapes)
        self.layers[:TAGGER_FROZEN_LAYERS].requires_grad_(False)
        self.pointwise = nn.Conv2d(self._shapes[-1].outputs, config.channels[-1], 1, bias=False)
        self.norm = nn.BatchNorm2d(config.channels[-1])

    def take(self, convolutions: Iterable[Convolution]) -> None:
        """Take over the weights of the published tagger's convolutions, the first one first."""
        with torch.no_grad():
            for layer, theirs in zip(self._layers(), convolutions, strict=False):
                layer.conv.weight.copy_(theirs.weight)
                assert layer.conv.bias is not None
                layer.conv.bias.copy_(theirs.bias)

    def tuned(self) -> Iterator[nn.Parameter]:
        """The tagger's weights that training may change."""
        return (parameter for parameter in self.layers.parameters() if parameter.requires_grad)

    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        """What each convolution that looks back carries on: steps of its input."""
        return {
            _past(number): (shape.past, shape.mels, shape.inputs)
            for number, shape in enumerate(self._shapes)
            if shape.past
        }

    def forward(self, frames: Tensor, state: State) -> tuple[Tensor, State]:
        """Map the tagger's frames [B, 1, 4n, M] to [B, channels[-1], n, bands] and the new state."""
        x = frames
        new_state: State = {}
        for number, layer in enumerate(self._layers()):
            needs_gradient = number >= TAGGER_FROZEN_LAYERS or not self.training
            with torch.set_grad_enabled(torch.is_grad_enabled() and needs_gradient):
                x, cache = layer(x, state.get(_past(number)))
            if cache is not None:
                new_state[_past(number)] = cache
        return torch.relu(self.norm(self.pointwise(x))), new_state

    def _layers(self) -> "Iterator[TaggerLayer]":
        return iter(self.layers)  # type: ignore[arg-type]


def tagger_normalization(config: ModelConfig) -> tuple[Tensor, Tensor]:
    """Mean and deviation that make our frames the tagger's, each [n_mels].

    Its frames are logarithms of magnitudes added up under a filter. With `config.magnitudes` ours are of the same,
    squared, over the filter's area. Otherwise they are of powers: of noise, whose magnitudes under a filter of area W
    are alike, the sum is the root of power times W; a window that is longer by a fifth makes magnitudes greater by as
    much.
    """
    deviation = torch.full((config.n_mels,), 2.0)
    if config.magnitudes:
        return -torch.log(tagger_triangles(config).sum(dim=0).clamp_min(LEAST_AREA)), deviation
    areas = mel_filters(config).sum(dim=0)
    longer = config.window_samples / TAGGER_WINDOW_SAMPLES
    return -torch.log(areas.clamp_min(LEAST_AREA) / longer**2), deviation


def _past(number: int) -> str:
    return f"tagger{number}"


def _apart(x: Tensor, count: int) -> Tensor:
    """Map [B, C, T, M] to [B * count, C, T / count, M]: every `count`-th step; channels stay last in memory."""
    batch, channels, steps, mels = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch, steps // count, count, mels, channels).transpose(1, 2)
    return x.reshape(batch * count, steps // count, mels, channels).permute(0, 3, 1, 2)


def _together(x: Tensor, count: int) -> Tensor:
    """Undo `_apart`."""
    batch, channels, steps, mels = x.shape
    x = x.permute(0, 2, 3, 1).reshape(batch // count, count, steps, mels, channels).transpose(1, 2)
    return x.reshape(batch // count, steps * count, mels, channels).permute(0, 3, 1, 2)
