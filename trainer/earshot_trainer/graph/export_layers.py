"""Layers that compute what the training layers compute, in a form that exports small and fast."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earshot_trainer.network.architecture import SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.network.features import LogMel
from earshot_trainer.network.model import SignalPath, StreamingCrnn

ONNX_OPSET = 20


class MatrixLogMel(LogMel):
    """Log-mel by matrix products, their matrices computed in the graph from a few numbers.

    onnxruntime folds them once at load, so a file carries no megabyte of cosines, and a product
    takes less time than its STFT operator at the few frames of a hop.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        ends = (_hertz_to_mel(config.mel_min_hz), _hertz_to_mel(config.mel_max_hz))
        edges = torch.linspace(*ends, config.n_mels + 2, dtype=torch.float64)
        self.edges_hz: Tensor
        self.register_buffer("edges_hz", (700.0 * (10.0 ** (edges / 2595.0) - 1.0)).float(), persistent=False)

    def mel_power(self, frames: Tensor) -> Tensor:
        """Map frames of samples [B, F, window] to the power in each mel band [B, F, n_mels]."""
        parts = (frames @ self._dft()).square()
        filters = self._filters()
        return parts @ torch.cat([filters, filters])

    def _dft(self) -> Tensor:
        """Return [window, 2 * bins]: Hann-windowed cosines, then sines.

        The phase is reduced in integers, so that float32 holds the angle.
        """
        time = torch.arange(self.window_samples)
        bins = torch.arange(self.window_samples // 2 + 1)
        phase = torch.remainder(time[:, None] * bins, self.window_samples)
        angle = phase.float() * (2 * math.pi / self.window_samples)
        return self.window[:, None] * torch.cat([angle.cos(), angle.sin()], dim=1)

    def _filters(self) -> Tensor:
        """Return HTK triangles [bins, n_mels], as torchaudio's melscale_fbanks."""
        bins_hz = torch.arange(self.window_samples // 2 + 1)[:, None] * (SAMPLE_RATE_HZ / self.window_samples)
        rising = (bins_hz - self.edges_hz[:-2]) / (self.edges_hz[1:-1] - self.edges_hz[:-2])
        falling = (self.edges_hz[2:] - bins_hz) / (self.edges_hz[2:] - self.edges_hz[1:-1])
        return torch.minimum(rising, falling).relu()


class OnnxGru(nn.Module):
    """ONNX's GRU operator with the weights of a one-layer torch GRU.

    torch.export would unroll the layer for one fixed number of hops. ONNX orders the gates
    update, reset, new where torch has reset, update, new.
    """

    def __init__(self, gru: nn.GRU) -> None:
        super().__init__()
        self.hidden = gru.hidden_size
        weights = dict(gru.named_parameters())
        self.input_weight = nn.Parameter(_onnx_gates(weights["weight_ih_l0"])[None])
        self.recurrent_weight = nn.Parameter(_onnx_gates(weights["weight_hh_l0"])[None])
        biases = [_onnx_gates(weights["bias_ih_l0"]), _onnx_gates(weights["bias_hh_l0"])]
        self.bias = nn.Parameter(torch.cat(biases)[None])

    def forward(self, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Map x [n, B, C] and hidden [1, B, H] to outputs [n, B, H] and the new hidden."""
        hops, batch = x.shape[:2]
        outputs, hidden = torch.onnx.ops.symbolic_multi_out(
            "GRU",
            (x, self.input_weight, self.recurrent_weight, self.bias, None, hidden),
            {"hidden_size": self.hidden, "linear_before_reset": 1},
            dtypes=(torch.float32, torch.float32),
            shapes=((hops, 1, batch, self.hidden), (1, batch, self.hidden)),
            version=ONNX_OPSET,
        )
        return outputs.squeeze(1), hidden


class OnnxLinear(nn.Module):
    """A linear layer whose weight is stored as ONNX's MatMul takes it: [in, out]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().T.contiguous())
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        return x @ self.weight + self.bias


def exportable(network: StreamingCrnn) -> SignalPath:
    """Return the signal path of a copy of `network`, its batch norms folded into convolutions."""
    network = copy.deepcopy(network).cpu().eval()
    layers: Any = network  # its layers change their types here
    layers.stem.conv = fuse_conv_bn_eval(layers.stem.conv, layers.stem_norm)
    layers.stem_norm = nn.Identity()
    for block in layers.blocks:
        block.pointwise = fuse_conv_bn_eval(block.pointwise, block.norm)
        block.norm = nn.Identity()
    layers.embedding = OnnxLinear(layers.embedding)
    layers.gru = OnnxGru(layers.gru)
    layers.output = OnnxLinear(layers.output)
    path = SignalPath(network)
    path.log_mel = MatrixLogMel(network.config)
    return path.eval()


def _onnx_gates(weight: Tensor) -> Tensor:
    reset, update, new = weight.detach().chunk(3)
    return torch.cat([update, reset, new])


def _hertz_to_mel(hertz: float) -> float:
    return 2595.0 * math.log10(1.0 + hertz / 700.0)
