"""Layers that compute what the training layers compute, in a form that exports small and fast."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earshot_trainer.network.architecture import SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.network.features import LogMel
from earshot_trainer.network.level import RunningLevel
from earshot_trainer.network.model import Embedding, SignalPath, StreamingCrnn
from earshot_trainer.network.wavelets import OCTAVES, HaarDetails

ONNX_OPSET = 20


class MatrixLogMel(LogMel):
    """Log-mel by matrix products, their matrices computed in the graph from a few numbers.

    onnxruntime folds them once at load, so a file carries no megabyte of cosines, and a product
    takes less time than its STFT operator at the few frames of a hop.

    Two steps of decimation in frequency (Gentleman and Sande, 1966) go before the products. Of the DFT X of
    x[0..N-1], odd bins follow from the difference of its halves and even ones from their sum, W = exp(-2 pi i / N):

        X[2k + 1] = sum over n < N/2 of (x[n] - x[n + N/2]) W^(n (2k + 1))
        X[2k]     = sum over n < N/2 of (x[n] + x[n + N/2]) W^(n 2k)

    and the sum is the same task with half the samples. A product then takes half of the samples for half of the bins
    and a quarter for two quarters: 3/8 of the multiplications of the whole matrix, and no sample is reordered.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        ends = (_hertz_to_mel(config.mel_min_hz), _hertz_to_mel(config.mel_max_hz))
        edges = torch.linspace(*ends, config.n_mels + 2, dtype=torch.float64)
        self.edges_hz: Tensor
        self.register_buffer("edges_hz", (700.0 * (10.0 ** (edges / 2595.0) - 1.0)).float(), persistent=False)
        # Those that a filter lets through: on an outer edge it is zero.
        self.used_bins = [
            k
            for k in range(self.window_samples // 2 + 1)
            if config.mel_min_hz < k * SAMPLE_RATE_HZ / self.window_samples < config.mel_max_hz
        ]

    def mel_power(self, frames: Tensor) -> Tensor:
        """Map frames of samples [B, F, window] to the power in each mel band [B, F, n_mels]."""
        x = frames * self.window
        first, second = x.chunk(2, dim=2)
        power = self._power(first - second, 1, 2)
        first, second = (first + second).chunk(2, dim=2)
        return power + self._power(first - second, 2, 4) + self._power(first + second, 0, 4)

    def _power(self, x: Tensor, remainder: int, modulus: int) -> Tensor:
        """Return what bins k = `remainder` modulo `modulus` add to the mel bands; x [B, F, points] gives them."""
        own = [k for k in self.used_bins if k % modulus == remainder] or [remainder]
        bins = torch.arange(own[0], own[-1] + 1, modulus)
        filters = self._filters(bins)
        parts = x @ self._dft(x.shape[2], bins)
        return (parts * parts) @ torch.cat([filters, filters])  # square() becomes Pow, which takes longer

    def _dft(self, points: int, bins: Tensor) -> Tensor:
        """Return [points, 2 * bins]: cosines, then sines, of the bins of a whole window.

        A cosine is the sine a quarter of a turn ahead. Phases are reduced in integers and sines taken in float64: in
        float32 the angles' rounding alone would double the error of log-mel frames.
        """
        sines = torch.arange(points)[:, None] * bins
        phase = torch.remainder(torch.cat([sines + self.window_samples // 4, sines], dim=1), self.window_samples)
        return (phase.double() * (2 * math.pi / self.window_samples)).sin().float()

    def _filters(self, bins: Tensor) -> Tensor:
        """Return HTK triangles [bins, n_mels], as torchaudio's melscale_fbanks."""
        bins_hz = bins[:, None] * (SAMPLE_RATE_HZ / self.window_samples)
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


class OnnxRunningLevel(RunningLevel):
    """The running averages by ONNX's RNN operator: relu(W x + R h), W = 1 - keep, R = keep; power is never below 0.

    The other form, a sum over all earlier hops, takes time by the square of their number.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.input_weight = nn.Parameter((1 - self.keep) * torch.eye(2)[None])
        self.recurrent_weight = nn.Parameter(self.keep * torch.eye(2)[None])

    def average(self, values: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
        """Running averages [B, n, 2] of `values` [B, n, 2], and the last one [B, 2]."""
        batch, hops = values.shape[:2]
        averages, last = torch.onnx.ops.symbolic_multi_out(
            "RNN",
            (values.transpose(0, 1), self.input_weight, self.recurrent_weight, None, None, state[None]),
            {"hidden_size": 2, "activations": ["Relu"]},
            dtypes=(torch.float32, torch.float32),
            shapes=((hops, 1, batch, 2), (1, batch, 2)),
            version=ONNX_OPSET,
        )
        return averages.squeeze(1).transpose(0, 1), last.squeeze(0)


class ConvolvedHaarDetails(HaarDetails):
    """Each stage as one dilated convolution: a dozen operators that take little each would take long together."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        taps = 2**OCTAVES
        weight = torch.full((OCTAVES + 1, 1, taps, 1), 1 / taps)
        for octave, row in enumerate(weight[:OCTAVES, 0, :, 0]):
            half = 2**octave
            row[:] = 0
            row[taps - half :] = 1 / half
            row[taps - 2 * half : taps - half] = -1 / half
        self.weight = nn.Parameter(weight)

    def stage(self, extended: Tensor, dilation: int) -> tuple[Tensor, Tensor]:
        """Map past and new hops [B, ..., M] to details [B, OCTAVES, n, M] and means [B, n, M]."""
        x = nn.functional.conv2d(extended[:, None], self.weight, dilation=(dilation, 1))
        return x[:, :OCTAVES], x[:, OCTAVES]


class OnnxLinear(nn.Module):
    """A linear layer whose weight is stored as ONNX's MatMul takes it: [in, out]."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = nn.Parameter(linear.weight.detach().T.contiguous())
        self.bias = nn.Parameter(linear.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map x [..., in] to [..., out]."""
        return x @ self.weight + self.bias


class OnnxEmbedding(nn.Module):
    """The embedding as a convolution over all mels: onnxruntime reorders one vector a step, not its input."""

    def __init__(self, embedding: Embedding, mels: int) -> None:
        super().__init__()
        weight = embedding.weight.detach()
        self.weight = nn.Parameter(weight.reshape(len(weight), -1, 1, mels).clone())
        self.bias = nn.Parameter(embedding.bias.detach().clone())

    def forward(self, x: Tensor) -> Tensor:
        """Map x [B, C, T, mels] to [T, B, out]."""
        return torch.relu(nn.functional.conv2d(x, self.weight, self.bias)).squeeze(3).permute(2, 0, 1)


def exportable(network: StreamingCrnn) -> SignalPath:
    """Return the signal path of a copy of `network`, its batch norms folded into convolutions."""
    network = copy.deepcopy(network).cpu().eval()
    layers: Any = network  # its layers change their types here
    if layers.tagger is None:
        layers.stem.conv = fuse_conv_bn_eval(layers.stem.conv, layers.stem_norm)
        layers.stem_norm = nn.Identity()
    for block in layers.blocks if layers.tagger is None else [layers.tagger]:
        block.pointwise = fuse_conv_bn_eval(block.pointwise, block.norm)
        block.norm = nn.Identity()
    layers.embedding = OnnxEmbedding(layers.embedding, network.bands)
    if layers.level is not None:
        layers.level = OnnxRunningLevel(network.config)
    if layers.wavelets is not None:
        branch = layers.wavelets
        branch.details = ConvolvedHaarDetails(network.config)
        branch.stem, branch.stem_norm = fuse_conv_bn_eval(branch.stem, branch.stem_norm), nn.Identity()
        branch.pointwise, branch.norm = fuse_conv_bn_eval(branch.pointwise, branch.norm), nn.Identity()
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
