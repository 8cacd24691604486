"""Log-mel pictures of audio, the same for every model, whatever its own front end is."""

import math
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples

WINDOW_SAMPLES = 512
LOWEST_HZ, HIGHEST_HZ = 50.0, 8000.0
MELS = 64
RANGE_DB = 70.0
TICKS_HZ = (250, 500, 1000, 2000, 4000, 8000)


@dataclass(frozen=True, slots=True)
class LogMelPicture:
    """A log-mel spectrogram.

    Attributes:
        level_db: float32[frames, MELS], dB; a full-scale sine is near 0.
        hop_s: seconds between frames.
    """

    level_db: NDArray[np.float32]
    hop_s: float

    def draw(self, axes: Axes, begin_s: float = 0.0, colours: str = "magma") -> AxesImage:
        """Show it with time on x (seconds, from `begin_s`) and frequency on y (mel scale, labelled in kHz)."""
        loudest = float(self.level_db.max(initial=-RANGE_DB))
        end_s = begin_s + len(self.level_db) * self.hop_s
        image = axes.imshow(
            self.level_db.T,
            origin="lower",
            aspect="auto",
            extent=(begin_s, end_s, mel_of(LOWEST_HZ), mel_of(HIGHEST_HZ)),
            cmap=colours,
            vmin=loudest - RANGE_DB,
            vmax=loudest,
        )
        label_frequencies(axes)
        return image


def log_mel_picture(samples: Samples, most_frames: int = 400) -> LogMelPicture:
    """Return float32[n] at 16 kHz as a picture of at most about `most_frames` frames, 10 ms apart or more."""
    hop = max(160, -(-len(samples) // (most_frames * 160)) * 160)
    padded = np.pad(samples, (WINDOW_SAMPLES // 2, WINDOW_SAMPLES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[: max(1, len(samples)) : hop]
    window = np.hanning(WINDOW_SAMPLES)
    power = np.abs(np.fft.rfft(frames * window, axis=1)) ** 2 / (window.sum() / 2) ** 2
    level_db = 10 * np.log10(power @ mel_filters(MELS, WINDOW_SAMPLES) + 1e-10)
    return LogMelPicture(level_db.astype(np.float32), hop / SAMPLE_RATE_HZ)


def mel_filters(count: int, window_samples: int) -> NDArray[np.float64]:
    """Return triangular filters float64[window_samples // 2 + 1, count] on the HTK mel scale.

    A filter narrower than a DFT bin takes the bin at its centre, so that no row of a picture is empty.
    """
    edges_hz = 700.0 * (10.0 ** (np.linspace(mel_of(LOWEST_HZ), mel_of(HIGHEST_HZ), count + 2) / 2595.0) - 1.0)
    bins_hz = np.fft.rfftfreq(window_samples, 1 / SAMPLE_RATE_HZ)
    low, centre, high = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - low) / (centre - low)
    falling = (high - bins_hz[:, None]) / (high - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling))
    nearest = np.abs(bins_hz[:, None] - centre).argmin(axis=0)
    filters[nearest, np.arange(count)] = np.maximum(filters[nearest, np.arange(count)], 0.5)
    return filters


def label_frequencies(axes: Axes) -> None:
    """Label a mel axis in kHz."""
    axes.set_yticks([mel_of(hz) for hz in TICKS_HZ], [f"{hz / 1000:g}" for hz in TICKS_HZ])
    axes.set_ylim(mel_of(LOWEST_HZ), mel_of(HIGHEST_HZ))
    axes.set_ylabel("frequency, kHz")
    axes.grid(visible=False)


def mel_of(frequency_hz: float) -> float:
    """Return the HTK mel value of a frequency."""
    return 2595.0 * math.log10(1.0 + frequency_hz / 700.0)


def hz_of(mel: float) -> float:
    """Return the frequency of an HTK mel value."""
    return float(700.0 * (10.0 ** (mel / 2595.0) - 1.0))
