"""Log-mel frames from samples, in a form that both trains fast and exports small."""

import torch
import torchaudio
from torch import Tensor, nn

from earshot_trainer.network.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig


def mel_filters(config: ModelConfig) -> Tensor:
    """Return the HTK triangles of `config` over the bins of its window, [bins, n_mels]."""
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        n_freqs=config.window_samples // 2 + 1,
        f_min=config.mel_min_hz,
        f_max=config.mel_max_hz,
        n_mels=config.n_mels,
        sample_rate=SAMPLE_RATE_HZ,
    )
    return filters


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
        self.window: Tensor
        self.mel_filters: Tensor
        self.register_buffer("window", torch.hann_window(self.window_samples), persistent=False)
        self.register_buffer("mel_filters", mel_filters(config), persistent=False)

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
        frames = torch.cat([hops[:, i : (i - overlap + 1) or None] for i in range(overlap)], dim=2)
        mel_power = self.mel_power(frames)
        return torch.log(mel_power + self.power_floor), extended[:, -self.cache_samples :]

    def mel_power(self, frames: Tensor) -> Tensor:
        """Map frames of samples [B, F, window] to the power in each mel band [B, F, n_mels]."""
        spectrum = torch.fft.rfft(frames * self.window)
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power @ self.mel_filters
