"""Taking times and frequencies out of audio: short-time Fourier transform, soft masks, and back."""

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples

WINDOW_SAMPLES, HOP_SAMPLES = 512, 128
PADDING_SAMPLES = WINDOW_SAMPLES - HOP_SAMPLES
Spectrum = NDArray[np.complex128]
FloatArray = NDArray[np.float64]


def spectrum_of(samples: Samples) -> Spectrum:
    """Return complex128[frames, bins] of float32[n]; every sample lies in as many frames as any other."""
    padded = np.pad(samples.astype(np.float64), (PADDING_SAMPLES, WINDOW_SAMPLES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW_SAMPLES)[::HOP_SAMPLES]
    return np.asarray(np.fft.rfft(frames * _window(), axis=1))


def samples_of(spectrum: Spectrum, first_frame: int, count: int) -> FloatArray:
    """Return float64[count], the audio of frames that begin with number `first_frame`; silence where there are none.

    Analysis and synthesis windows are the same; their squares add up to a constant.
    """
    frames = np.fft.irfft(spectrum, WINDOW_SAMPLES, axis=1) * _window()
    audio = np.zeros(PADDING_SAMPLES + count + 2 * WINDOW_SAMPLES)
    scale = HOP_SAMPLES / float((_window() ** 2).sum())
    for number, frame in enumerate(frames, start=first_frame):
        begin = number * HOP_SAMPLES
        audio[begin : begin + WINDOW_SAMPLES] += frame
    return audio[PADDING_SAMPLES : PADDING_SAMPLES + count] * scale


def frame_middles_s(frames: int) -> FloatArray:
    """Return float64[frames], when the middle of each frame is; the first ones are before 0."""
    return (np.arange(frames) * HOP_SAMPLES - PADDING_SAMPLES + WINDOW_SAMPLES / 2) / SAMPLE_RATE_HZ


def quiet_floor(spectrum: Spectrum) -> FloatArray:
    """Return float64[bins], the magnitude of the background under everything that sounds.

    The 10th percentile over time, then the 25th over an octave around each frequency: neither a pulsing nor a steady
    tone counts as background.
    """
    over_time = np.percentile(np.abs(spectrum), 10, axis=0)
    bins = len(over_time)
    floor = np.empty(bins)
    for number in range(bins):
        low, high = int(number / np.sqrt(2)), max(int(number * np.sqrt(2)), 6)
        floor[number] = np.percentile(over_time[max(0, low - 2) : high + 3], 25)
    return floor


def bin_frequencies_hz() -> FloatArray:
    """Return float64[bins]."""
    return np.asarray(np.fft.rfftfreq(WINDOW_SAMPLES, 1 / SAMPLE_RATE_HZ))


def _window() -> FloatArray:
    return np.sqrt(np.hanning(WINDOW_SAMPLES + 1)[:-1])
