"""The published tagger in small: its kind of layers with random weights, and networks that hear what it hears."""

from typing import Any

import torch  # noqa: TID251
from torch.nn.functional import conv2d, pad  # noqa: TID251

from earshot_trainer.network.architecture import ModelConfig


class Convolution:
    """A layer of a tagger with random weights, computed as TFLite does: padding SAME, ReLU6."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, *, depthwise: bool) -> None:
        generator = torch.Generator().manual_seed(inputs + outputs + kernel + stride)
        shape = (outputs, 1 if depthwise else inputs, kernel, kernel)
        self.weight = torch.randn(shape, generator=generator) * (2 / (shape[1] * kernel**2)) ** 0.5
        self.bias = torch.randn(outputs, generator=generator) * 0.1
        self.stride, self.groups = stride, inputs if depthwise else 1

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.weight.shape[-1] > 1:
            before = 1 if self.stride == 1 else 0
            x = pad(x, (before, 1, before, 1))
        return conv2d(x, self.weight, self.bias, self.stride, groups=self.groups).clamp(0, 6)


def hearing_as_the_tagger(**settings: Any) -> ModelConfig:
    """A small network of the tagger's frames at one level."""
    return ModelConfig(
        window_samples=400,
        n_mels=64,
        mel_min_hz=125.0,
        mel_max_hz=7500.0,
        magnitudes=True,
        level_s=3.0,
        tagger_layers=7,
        channels=(8, 8, 8, 8),
        **settings,
    )
