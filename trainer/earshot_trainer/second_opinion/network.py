"""The published tagger (YAMNet) and a linear output: which of a few sounds is in .96 s of frames, a siren first.

    frames [K, 96, 64] -> 27 convolutions -> mean over time and mels [K, widths[-1]] -> logits [K, outputs]

The streaming network begins with the tagger's first layers, which is what can run every 40 ms. What tells a siren from
all that sounds like one is learnt in the layers behind. They are worth asking only now and then.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import hardtanh, pad

from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.second_opinion.four_bits import is_stored_in_four_bits, rounded

STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
"""Of the tagger's first convolution, and of each pair of a depthwise and a pointwise one behind it."""
TAGGER_WIDTHS = (32, 64, 128, 128, 256, 256, *[512] * 6, 1024, 1024)
"""Its channels behind each of them."""


class TaggerConvolution(Protocol):
    """A layer of the tagger: `weight` [out, in / groups, k, k], `bias` [out]."""

    weight: Tensor
    bias: Tensor


class WindowLayer(nn.Module):
    """A convolution with the tagger's padding and ReLU6.

    Even sizes with a stride of 2 are padded at their end alone.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, depthwise: bool = False) -> None:
        super().__init__()
        groups = inputs if depthwise else 1
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, groups=groups)
        before = 1 if kernel > 1 and stride == 1 else 0
        self.padding = (before, kernel // 2, before, kernel // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, M] to the next layer's input."""
        return hardtanh(self.conv(pad(x, self.padding)), 0.0, 6.0)


class SecondOpinion(nn.Module):
    """Windows of the tagger's frames to the log-odds of a siren, and of other sounds.

    Args:
        widths: channels of the stem and of each pair of convolutions.
        outputs: how many sounds it tells of.

    Attributes:
        layers: the stem, then a depthwise and a pointwise convolution in turns.
    """

    def __init__(self, widths: Sequence[int] = TAGGER_WIDTHS, outputs: int = 1) -> None:
        super().__init__()
        self.widths = tuple(widths)
        layers = [WindowLayer(1, widths[0], 3, STRIDES[0])]
        for (before, width), stride in zip(pairwise(widths), STRIDES[1:], strict=True):
            layers += [WindowLayer(before, before, 3, stride, depthwise=True), WindowLayer(before, width, 1, 1)]
        self.layers = nn.ModuleList(layers)
        self.output = nn.Linear(widths[-1], outputs)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def take_layers(self, tagger: Sequence[TaggerConvolution]) -> None:
        """Copy the tagger's weights.

        Raises:
            ValueError: the tagger has layers of another number or shape.
        """
        ours, theirs = [tuple(one.conv.weight.shape) for one in self._layers()], [tuple(o.weight.shape) for o in tagger]
        if ours != theirs:
            raise ValueError(f"the tagger's layers have weights of {theirs}, the network's of {ours}")
        for layer, original in zip(self._layers(), tagger, strict=True):
            layer.conv.weight.copy_(original.weight)
            assert layer.conv.bias is not None
            layer.conv.bias.copy_(original.bias)

    @torch.no_grad()
    def set_output(self, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32]) -> None:
        """Set the linear output: weights [outputs, widths[-1]] and biases [outputs]."""
        self.output.weight.copy_(torch.from_numpy(weight))
        self.output.bias.copy_(torch.from_numpy(bias))

    @torch.no_grad()
    def round_weights(self) -> None:
        """Round the weights to what is stored of them in four bits."""
        for layer in self._layers():
            weight = layer.conv.weight
            if is_stored_in_four_bits(tuple(weight.shape)):
                weight.copy_(torch.from_numpy(rounded(weight.contiguous().numpy())))

    def embed(self, frames: Tensor) -> Tensor:
        """Embeddings [K, widths[-1]] of windows of frames [K, 96, 64]."""
        if frames.shape[1] != WINDOW_FRAMES:
            raise ValueError(f"a window has {WINDOW_FRAMES} frames, not {frames.shape[1]}")
        x = frames[:, None].contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = layer(x)
        return x.mean(dim=(2, 3))

    def _layers(self) -> list[WindowLayer]:
        return [layer for layer in self.layers if isinstance(layer, WindowLayer)]

    def forward(self, frames: Tensor) -> Tensor:
        """Logits [K, outputs] of windows of frames [K, 96, 64]."""
        logits: Tensor = self.output(self.embed(frames))
        return logits
