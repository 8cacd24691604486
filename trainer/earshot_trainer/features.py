"""Log-mel frames from samples, in a form that both trains fast and exports small."""

import math

import torch
import torchaudio
from torch import Tensor, nn

from earshot_trainer.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig


def dft_matrix(window_samples: int) -> Tensor:
    """Return [window, 2 * bins]: Hann-windowed cosines, then sines, of a real DFT.

    The phase is reduced modulo the window in integers, so float32 holds it exactly enough.
    """
    bins = window_samples // 2 + 1
    time = torch.arange(window_samples)
    phase = torch.remainder(torch.outer(time, torch.arange(bins)), window_samples)
    angle = phase.to(torch.float64) * (2 * math.pi / window_samples)
    window = torch.hann_window(window_samples, periodic=True, dtype=torch.float64)[:, None]
    return torch.cat([window * angle.cos(), window * angle.sin()], dim=1).float()


class LogMel(nn.Module):
    """Causal log-mel spectrogram: torchaudio's MelSpectrogram (power 2, HTK) and a logarithm.

    A frame's newest sample is the last of its 10 ms hop; the samples before it come from `cache`,
    so zeros mean silence before the first sample. Frames are natural logarithms of power.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Derive window, DFT and filters from `config`."""
        super().__init__()
        self.window_samples = config.window_samples
        self.cache_samples = config.window_samples - MEL_HOP_SAMPLES
        self.power_floor = config.power_floor
        self.n_mels = config.n_mels
        filters = torchaudio.functional.melscale_fbanks(
            n_freqs=config.window_samples // 2 + 1,
            f_min=config.mel_min_hz,
            f_max=config.mel_max_hz,
            n_mels=config.n_mels,
            sample_rate=SAMPLE_RATE_HZ,
        )
        self.window: Tensor
        self.dft: Tensor
        self.mel_filters: Tensor
        self.register_buffer("window", torch.hann_window(self.window_samples), persistent=False)
        self.register_buffer("dft", dft_matrix(self.window_samples), persistent=False)
        self.register_buffer("mel_filters", filters.repeat(2, 1), persistent=False)

    def initial_cache(self, batch: int) -> Tensor:
        """Return silence: [batch, cache_samples] zeros."""
        return self.window.new_zeros(batch, self.cache_samples)

    def forward(self, samples: Tensor, cache: Tensor) -> tuple[Tensor, Tensor]:
        """Map samples [B, T] (T a multiple of 160) and cache [B, C] to frames and the new cache.

        Frames are [B, T // 160, n_mels].
        """
        extended = torch.cat([cache, samples], dim=1)
        hops = extended.reshape(extended.shape[0], -1, MEL_HOP_SAMPLES)
        overlap = self.window_samples // MEL_HOP_SAMPLES
        count = hops.shape[1] - overlap + 1
        frames = torch.cat([hops[:, i : i + count] for i in range(overlap)], dim=2)
        mel_power = self._squared_spectrum(frames) @ self.mel_filters
        return torch.log(mel_power + self.power_floor), extended[:, -self.cache_samples :]

    def _squared_spectrum(self, frames: Tensor) -> Tensor:
        """Return squared real parts, then squared imaginary parts: [B, frames, 2 * bins].

        Training takes the FFT. The exported graph takes a matrix product: at four frames a call
        onnxruntime runs it faster than its STFT, and the mel filters then sum both parts.
        """
        if torch.compiler.is_exporting():
            return (frames @ self.dft).square()
        spectrum = torch.fft.rfft(frames * self.window)
        return torch.cat([spectrum.real, spectrum.imag], dim=2).square()
