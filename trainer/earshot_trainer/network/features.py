"""Log-mel frames from samples, in a form that both trains fast and exports small."""

import math

import torch
import torchaudio
from torch import Tensor, nn

from earshot_trainer.network.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig

TAGGER_WINDOW_SAMPLES = 400
TAGGER_DFT_SAMPLES = 512
"""The published tagger (YAMNet) pads its windows with zeros to a power of two."""


def mel_filters(config: ModelConfig) -> Tensor:
    """Return the HTK triangles of `config` over the bins of its window, [bins, n_mels].

    They add up powers or, over the square root of each band's width, magnitudes: those of noise give its power then.
    """
    if config.magnitudes:
        return magnitude_filters(config, torch.arange(config.window_samples // 2 + 1))
    filters: Tensor = torchaudio.functional.melscale_fbanks(
        n_freqs=config.window_samples // 2 + 1,
        f_min=config.mel_min_hz,
        f_max=config.mel_max_hz,
        n_mels=config.n_mels,
        sample_rate=SAMPLE_RATE_HZ,
    )
    return filters


def magnitude_filters(config: ModelConfig, bins: Tensor) -> Tensor:
    """Return what `bins` of a window's DFT add to the bands' magnitudes, [bins, n_mels].

    The tagger's triangles lie over a DFT of more points; magnitudes at those are taken between the nearest two of ours.
    """
    triangles = tagger_triangles(config)
    points = torch.arange(len(triangles)) * (config.window_samples / TAGGER_DFT_SAMPLES)
    between = (1.0 - (points[:, None] - bins).abs()).relu()
    return (between[:, :, None] * triangles[:, None]).sum(dim=0) / triangles.sum(dim=0).sqrt()


def tagger_triangles(config: ModelConfig) -> Tensor:
    """Return triangles over the tagger's DFT, [257, n_mels]; straight on the mel scale, as TensorFlow makes them."""
    hertz = torch.arange(TAGGER_DFT_SAMPLES // 2 + 1) * (SAMPLE_RATE_HZ / TAGGER_DFT_SAMPLES)
    low, high = hertz_to_mel(config.mel_min_hz), hertz_to_mel(config.mel_max_hz)
    places = (2595.0 * torch.log10(1.0 + hertz / 700.0) - low) * ((config.n_mels + 1) / (high - low))
    return (1.0 - (places[:, None] - torch.arange(1, config.n_mels + 1)).abs()).relu()


def hertz_to_mel(hertz: float) -> float:
    """HTK's mel scale."""
    return 2595.0 * math.log10(1.0 + hertz / 700.0)


class LogMel(nn.Module):
    """Causal log-mel spectrogram: torchaudio's MelSpectrogram (power 2, HTK) and a logarithm.

    With `config.magnitudes` a band's power is that of the magnitudes that it adds up, as in the published tagger: less
    than power 2 gives for what is peaky within a band.

    A frame's newest sample is the last of its 10 ms hop; the samples before it come from `cache`,
    so zeros mean silence before the first sample. Frames are natural logarithms of power.
    """

    def __init__(self, config: ModelConfig) -> None:
        """Derive window, DFT and filters from `config`."""
        super().__init__()
        self.window_samples = config.window_samples
        hops = -(-config.window_samples // MEL_HOP_SAMPLES)
        self.cache_samples = (hops - 1) * MEL_HOP_SAMPLES
        self.unseen_samples = hops * MEL_HOP_SAMPLES - config.window_samples  # of a window's first hop
        self.power_floor = config.power_floor
        self.n_mels = config.n_mels
        self.magnitudes = config.magnitudes
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
        return torch.log(self.mel_power(extended) + self.power_floor), extended[:, -self.cache_samples :]

    def mel_power(self, samples: Tensor) -> Tensor:
        """Map the cache's samples and new ones [B, C + T] to the power in each mel band [B, T // 160, n_mels]."""
        windows = samples[:, self.unseen_samples :].unfold(1, self.window_samples, MEL_HOP_SAMPLES)
        spectrum = torch.fft.rfft(windows * self.window)
        if self.magnitudes:
            bands: Tensor = spectrum.abs() @ self.mel_filters
            return bands.square()
        power: Tensor = spectrum.real.square() + spectrum.imag.square()
        return power @ self.mel_filters
