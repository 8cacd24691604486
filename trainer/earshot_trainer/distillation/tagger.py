"""The published tagger (YAMNet) rebuilt in torch from its TFLite file, which does not give out its embeddings.

A window of 0.975 s becomes 1,024 numbers, the mean over time and frequency of the last convolution's output; its 521
class scores are a linear layer and a sigmoid of them. The file's weights are INT8; here they are computed with in
float32, which moves a score by at most a few hundredths.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from earshot_node.errors import OperatorError
from earshot_trainer.network.features import TAGGER_DFT_SAMPLES, TAGGER_WINDOW_SAMPLES
from earshot_trainer.training.teacher import SIREN_CLASSES, Teacher

EMBEDDING = 1024
MEL_HOP_SAMPLES = 160
WINDOW_FRAMES = 96
RELU6 = 3  # tflite's ActivationFunctionType
SAME = 0  # tflite's Padding
FLOAT32 = 0  # tflite's TensorType
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class ClassScores:
    """The tagger's last layer: `weight` [classes, 1024], `bias` [classes], and which classes are sirens."""

    weight: Floats
    bias: Floats
    sirens: tuple[int, ...]

    def logits(self, embeddings: npt.NDArray[np.floating]) -> Floats:
        """All classes' logits [..., classes] of embeddings [..., 1024]."""
        return np.asarray(embeddings.astype(np.float32) @ self.weight.T + self.bias, dtype=np.float32)


class EmbeddingTagger(nn.Module):
    """Samples to embeddings; `classes` makes them scores."""

    def __init__(self, front_end: "_FrontEnd", layers: "list[_Convolution]", classes: ClassScores) -> None:
        super().__init__()
        self.front_end = front_end
        self.layers = nn.ModuleList(layers)
        self.classes = classes

    @classmethod
    def open(cls, teacher: Teacher) -> "EmbeddingTagger":
        """Rebuild the file that `teacher` runs.

        Raises:
            OperatorError: it is not the network that this class knows.
        """
        try:
            tagger = _rebuild(teacher.path, tuple(teacher.classes.index(name) for name in SIREN_CLASSES))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise OperatorError(
                f"{teacher.path}: not the tagger that distillation knows ({error}); use the published yamnet.tflite, "
                "or train without it: --recipe config/recipes/siren-own.yaml"
            ) from error
        return tagger.eval()

    @property
    def convolutions(self) -> "tuple[_Convolution, ...]":
        """Its layers in their order: what a network of ours can begin with."""
        return tuple(layer for layer in self.layers if isinstance(layer, _Convolution))

    @torch.inference_mode()
    def embed(self, samples: Tensor, hop_frames: int) -> Tensor:
        """Embeddings [B, windows, 1024] of 16 kHz samples [B, T], a window every `hop_frames` of 10 ms."""
        frames = self.front_end(samples)
        windows = frames.unfold(1, WINDOW_FRAMES, hop_frames).transpose(2, 3)
        batch, count = windows.shape[:2]
        x = windows.reshape(batch * count, 1, WINDOW_FRAMES, -1).contiguous(memory_format=torch.channels_last)
        for layer in self.layers:
            x = layer(x)
        embeddings: Tensor = x.mean(dim=(2, 3)).reshape(batch, count, -1)
        return embeddings


class _FrontEnd(nn.Module):
    """Its log-mel frames: magnitudes, not powers, through 64 filters."""

    def __init__(self, window: Tensor, filters: Tensor, offset: Tensor) -> None:
        super().__init__()
        self.window: Tensor
        self.filters: Tensor
        self.offset: Tensor
        self.register_buffer("window", window)
        self.register_buffer("filters", filters)
        self.register_buffer("offset", offset)

    def forward(self, samples: Tensor) -> Tensor:
        """Frames [B, F, 64] of samples [B, T]."""
        pieces = samples.unfold(1, TAGGER_WINDOW_SAMPLES, MEL_HOP_SAMPLES) * self.window
        return torch.log(torch.fft.rfft(pieces, n=TAGGER_DFT_SAMPLES).abs() @ self.filters.T + self.offset)


class _Convolution(nn.Module):
    """TFLite's convolution with its padding and ReLU6; `top` is the largest number that its output type holds."""

    def __init__(self, weight: Tensor, bias: Tensor, stride: int, groups: int, top: float) -> None:
        super().__init__()
        self.weight: Tensor
        self.bias: Tensor
        self.register_buffer("weight", weight.contiguous(memory_format=torch.channels_last))
        self.register_buffer("bias", bias)
        self._stride = stride
        self._groups = groups
        self._top = min(6.0, top)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, T, M] to the next layer's input; even sizes with a stride of 2 are padded at their end alone."""
        kernel = self.weight.shape[-1]
        if kernel > 1:
            before = (kernel - 1) // 2 if self._stride == 1 else 0
            x = pad(x, (before, kernel // 2, before, kernel // 2))
        return conv2d(x, self.weight, self.bias, self._stride, groups=self._groups).clamp_(0.0, self._top)


def _rebuild(path: Path, sirens: tuple[int, ...]) -> EmbeddingTagger:
    """Read the flat buffer's operators in order."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    graph = model.subgraphs[0]
    kinds = schema.BuiltinOperator
    window: Tensor | None = None
    linear: list[tuple[Tensor, Tensor]] = []
    layers: list[_Convolution] = []
    for operator in graph.operators:
        kind = model.operatorCodes[operator.opcodeIndex].builtinCode
        inputs = [graph.tensors[index] for index in operator.inputs]
        if kind == kinds.MUL:
            window = _constant(model, inputs[1])
        elif kind == kinds.FULLY_CONNECTED:
            linear.append((_constant(model, inputs[1]), _constant(model, inputs[2])))
        elif kind in (kinds.CONV_2D, kinds.DEPTHWISE_CONV_2D):
            layers.append(_convolution(model, operator, inputs, graph.tensors[operator.outputs[0]]))
    (filters, offset), classes = linear
    if window is None or classes[0].shape[1] != EMBEDDING:
        raise ValueError("no window, or another embedding")
    scores = ClassScores(classes[0].numpy(), classes[1].numpy(), sirens)
    return EmbeddingTagger(_FrontEnd(window, filters, offset), layers, scores)


def _convolution(model: Any, operator: Any, inputs: list[Any], output: Any) -> _Convolution:
    options = operator.builtinOptions
    if options.padding != SAME or options.fusedActivationFunction != RELU6 or options.strideW != options.strideH:
        raise ValueError("a convolution of another kind")
    weight, bias = _constant(model, inputs[1]), _constant(model, inputs[2])
    is_depthwise = hasattr(options, "depthMultiplier")
    weight = weight.permute(3, 0, 1, 2) if is_depthwise else weight.permute(0, 3, 1, 2)
    top = float((127 - output.quantization.zeroPoint[0]) * output.quantization.scale[0])
    return _Convolution(weight, bias, options.strideH, len(weight) if is_depthwise else 1, top)


def _constant(model: Any, tensor: Any) -> Tensor:
    """A stored tensor as float32: value = (stored - zero point) * scale, by channel where the file says so."""
    data = model.buffers[tensor.buffer].data
    if tensor.type == FLOAT32:
        return torch.from_numpy(np.frombuffer(data, np.float32).reshape(tensor.shape).copy())
    size = len(data) // int(np.prod(tensor.shape))
    stored = np.frombuffer(data, {1: np.int8, 4: np.int32}[size]).reshape(tensor.shape).astype(np.float64)
    quantization = tensor.quantization
    by_channel = [1] * stored.ndim
    if len(quantization.scale) > 1:
        by_channel[quantization.quantizedDimension] = -1
    scale, zero = (np.reshape(part, by_channel) for part in (quantization.scale, quantization.zeroPoint))
    return torch.from_numpy(((stored - zero) * scale).astype(np.float32))
