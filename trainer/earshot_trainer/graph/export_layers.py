"""Layers that compute what the training layers compute, in a form that exports small and fast."""

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from earshot_trainer.network.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.network.features import LogMel, hertz_to_mel, magnitude_filters, mel_filters
from earshot_trainer.network.level import RunningLevel
from earshot_trainer.network.model import Embedding, SignalPath, StreamingCrnn
from earshot_trainer.network.wavelets import OCTAVES, HaarDetails

ONNX_OPSET = 20


class MatrixLogMel(LogMel):
    """Log-mel by matrix products, their matrices computed in the graph from a few numbers.

    onnxruntime folds them once at load, so a file carries no megabyte of cosines, and a product
    takes less time than its STFT operator at the few frames of a hop.

    What is symmetric is added up before the products. Half a sample later the DFT X of x[0..N-1] has the same powers:

        X[k] = sum over n of x[n] exp(-2 pi i k (n + 1/2) / N)

    and its cosines are alike at n and N-1-n, its sines opposite; both are alike or opposite again at n and N/2-1-n, by
    whether k is even. With the window's quarters a[n] = x[n], b[n] = x[N/2-1-n], c[n] = x[N/2+n] and d[n] = x[N-1-n],

        Re X[k] = sum over n < N/4 of ((a + d) + (b + c)) cos for even k, of ((a + d) - (b + c)) cos for odd k
       -Im X[k] = sum over n < N/4 of ((a - d) - (b - c)) sin for even k, of ((a - d) + (b - c)) sin for odd k

    which takes a quarter of the multiplications of the whole matrix.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.config = config
        ends = (hertz_to_mel(config.mel_min_hz), hertz_to_mel(config.mel_max_hz))
        edges = torch.linspace(*ends, config.n_mels + 2, dtype=torch.float64)
        self.edges_hz: Tensor
        self.register_buffer("edges_hz", (700.0 * (10.0 ** (edges / 2595.0) - 1.0)).float(), persistent=False)
        # Those that a filter lets through: on an outer edge it is zero.
        self.used_bins: list[int] = (mel_filters(config) > 0).any(dim=1).nonzero().flatten().tolist()

    def forward(self, samples: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples [B, T] and cache [B, C] to frames [B, T // 160, n_mels] and the new cache.

        Power is counted in floors: what is added to a power would be lost where it is below 1e-8, which the exporter
        takes for nothing.
        """
        extended = torch.cat([cache, samples], dim=1)
        power = self.mel_power(extended)
        log_mel = torch.log(power * (1.0 / self.power_floor) + 1.0) + math.log(self.power_floor)
        return log_mel, extended[:, -self.cache_samples :]

    def mel_power(self, samples: Tensor) -> Tensor:
        """Map the cache's samples and new ones [B, C + T] to the power in each mel band [B, T // 160, n_mels]."""
        hops = samples.reshape(samples.shape[0], -1, MEL_HOP_SAMPLES)
        backwards = hops.flip(2)
        half, quarter = self.window_samples // 2, self.window_samples // 4
        a = self._piece(hops, 0, quarter) * self.window[:quarter]
        b = self._piece(backwards, quarter, half, is_backwards=True) * self.window[quarter:half].flip(0)
        c = self._piece(hops, half, half + quarter) * self.window[half : half + quarter]
        d = self._piece(backwards, half + quarter, 2 * half, is_backwards=True) * self.window[half + quarter :].flip(0)
        outer_sum, outer_difference, inner_sum, inner_difference = a + d, a - d, b + c, b - c
        even = self._add_up(outer_sum + inner_sum, outer_difference - inner_difference, 0)
        bands = even + self._add_up(outer_sum - inner_sum, outer_difference + inner_difference, 1)
        return bands * bands if self.magnitudes else bands  # square() becomes Pow, which takes longer

    def _piece(self, hops: Tensor, start: int, stop: int, *, is_backwards: bool = False) -> Tensor:
        """Return samples `start` to `stop` of each window [B, F, stop - start] from all hops [B, H, 160].

        Where the samples of hops are backwards, those of the piece are too.
        """
        start, stop = start + self.unseen_samples, stop + self.unseen_samples
        frames = hops.shape[1] - self.cache_samples // MEL_HOP_SAMPLES
        parts = []
        while start < stop:
            hop, first = divmod(start, MEL_HOP_SAMPLES)
            last = min(first + stop - start, MEL_HOP_SAMPLES)
            span = slice(MEL_HOP_SAMPLES - last, MEL_HOP_SAMPLES - first) if is_backwards else slice(first, last)
            parts.append(hops[:, hop : hop + frames, span])
            start += last - first
        return torch.cat(parts[::-1] if is_backwards else parts, dim=2)

    def _add_up(self, of_cosines: Tensor, of_sines: Tensor, remainder: int) -> Tensor:
        """Return what bins k = `remainder` modulo 2 add to the mel bands, from what cosines and sines are taken of."""
        own = [k for k in self.used_bins if k % 2 == remainder] or [remainder]
        bins = torch.arange(own[0], own[-1] + 1, 2)
        real, imaginary = of_cosines @ self._waves(bins, self.window_samples), of_sines @ self._waves(bins, 0)
        power = real * real + imaginary * imaginary
        return (torch.sqrt(power) if self.magnitudes else power) @ self._filters(bins)

    def _waves(self, bins: Tensor, ahead: int) -> Tensor:
        """Return [N / 4, bins]: sin(2 pi (k (n + 1/2) / N + ahead / 4 N)); a cosine is the sine N ahead.

        Phases are reduced in integers and sines taken in float64: in float32 the angles' rounding alone would double
        the error of log-mel frames.
        """
        turn = 4 * self.window_samples
        times = 4 * torch.arange(self.window_samples // 4) + 2
        phase = torch.remainder(times[:, None] * bins + ahead, turn)
        return (phase.double() * (2 * math.pi / turn)).sin().float()

    def _filters(self, bins: Tensor) -> Tensor:
        """Return HTK triangles [bins, n_mels], as torchaudio's melscale_fbanks, or the tagger's."""
        if self.magnitudes:
            return magnitude_filters(self.config, bins)
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
