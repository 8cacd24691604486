"""A narrow network begins with those channels of the tagger that matter most, rescaled for what is missing.

A channel matters by how much it varies and by the weights that the next layers have for it. What a layer loses with the
others is made up for as far as a scale and an offset can: each kept channel has the mean and the deviation that it has
in the tagger. Where nothing is left out the network is the tagger.
"""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from earshot_trainer.second_opinion.network import SecondOpinion, WindowLayer

SCALES = (0.3, 4.0)
"""Least and greatest scale that makes up for what is missing."""
SMALL = 1e-4


class TaggerConvolution(Protocol):
    """A layer of the tagger: `weight` [out, in / groups, k, k], `bias` [out]; a call convolves, cut by ReLU6."""

    weight: Tensor
    bias: Tensor

    def __call__(self, x: Tensor) -> Tensor:
        """Map [B, C, T, M] to the next layer's input."""


@torch.no_grad()
def begin_with(network: SecondOpinion, tagger: Sequence[TaggerConvolution], frames: Tensor) -> None:
    """Give `network` the weights of the tagger's channels that matter most for windows of frames [K, 96, 64].

    Raises:
        ValueError: the tagger has another number of layers than the network, or narrower ones.
    """
    if len(tagger) != len(network.layers):
        raise ValueError(f"the tagger has {len(tagger)} layers, the network {len(network.layers)}")
    heard = theirs = frames[:, None].contiguous(memory_format=torch.channels_last)
    kept = torch.zeros(1, dtype=torch.int64)
    is_whole = True
    for number, (layer, original) in enumerate(zip(_layers(network), tagger, strict=True)):
        is_depthwise = number % 2 == 1
        wanted = _convolve(original, layer, theirs)
        outputs = kept
        if not is_depthwise:
            importance = _importance(tagger, number, original(theirs))
            outputs = _greatest(importance, network.widths[number // 2])
        weight = original.weight[outputs]
        layer.conv.weight.copy_(weight if is_depthwise or number == 0 else weight[:, kept])
        assert layer.conv.bias is not None
        layer.conv.bias.copy_(original.bias[outputs])
        is_whole = is_whole and len(outputs) == len(original.weight)
        if not is_whole:
            _match(layer, heard, wanted[:, outputs])
        heard, theirs, kept = layer(heard), original(theirs), outputs


def _layers(network: SecondOpinion) -> list[WindowLayer]:
    return [layer for layer in network.layers if isinstance(layer, WindowLayer)]


def _convolve(original: TaggerConvolution, layer: WindowLayer, x: Tensor) -> Tensor:
    """What the tagger's layer gives before its ReLU6."""
    groups = original.weight.shape[0] if original.weight.shape[1] == 1 and x.shape[1] > 1 else 1
    return conv2d(pad(x, layer.padding), original.weight, original.bias, layer.conv.stride, groups=groups)


def _importance(tagger: Sequence[TaggerConvolution], number: int, output: Tensor) -> Tensor:
    """How much each channel [C] of the output of layer `number` matters to the next pointwise layer."""
    if number + 2 >= len(tagger):
        return output.std(dim=(0, 2, 3))
    behind = tagger[number + 1](output).std(dim=(0, 2, 3))
    return behind * tagger[number + 2].weight.square().sum(dim=(0, 2, 3)).sqrt()


def _greatest(importance: Tensor, count: int) -> Tensor:
    if count > len(importance):
        raise ValueError(f"a layer of {count} channels cannot begin with one of {len(importance)}")
    return importance.topk(count).indices.sort().values


def _match(layer: WindowLayer, heard: Tensor, wanted: Tensor) -> None:
    """Scale and shift the layer's channels to the mean and deviation of those wanted [B, C, T, M]."""
    found = layer.convolve(heard)
    scale = (wanted.std(dim=(0, 2, 3)) / (found.std(dim=(0, 2, 3)) + SMALL)).clamp(*SCALES)
    layer.conv.weight.mul_(scale[:, None, None, None])
    assert layer.conv.bias is not None
    layer.conv.bias.mul_(scale)
    layer.conv.bias.add_(wanted.mean(dim=(0, 2, 3)) - layer.convolve(heard).mean(dim=(0, 2, 3)))
