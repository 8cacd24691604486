"""Synthesized sirens and noises as int16 at 16 kHz, and files of them."""

from pathlib import Path

import numpy as np
import soundfile as sf
from numpy.typing import NDArray

RATE_HZ = 16_000
Pcm = NDArray[np.int16]


def wail(seed: int, seconds: float = 1.0) -> Pcm:
    """A gliding tone, another one for every seed."""
    generator = np.random.default_rng(seed)
    time_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    pitch_hz = generator.uniform(800, 1100) + 350 * np.sin(2 * np.pi * generator.uniform(0.3, 1.5) * time_s)
    tone = generator.uniform(0.1, 0.5) * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
    return as_pcm(tone + 0.01 * generator.standard_normal(len(time_s)))


def noise(seed: int, seconds: float = 1.0) -> Pcm:
    """Noise of a colour and a level of its own for every seed."""
    generator = np.random.default_rng(seed)
    white = generator.standard_normal(round(RATE_HZ * seconds) + 64)
    coloured = np.convolve(white, np.exp(-np.arange(64) / generator.uniform(1, 20)), "valid")[
        : round(RATE_HZ * seconds)
    ]
    return as_pcm(generator.uniform(0.02, 0.2) * coloured / np.abs(coloured).std())


def as_pcm(samples: NDArray[np.floating]) -> Pcm:
    """Turn -1..1 into int16."""
    return np.asarray(np.round(samples * 32767).clip(-32768, 32767), np.int16)


def write_sound(path: Path, pcm: Pcm, rate_hz: int = RATE_HZ) -> Path:
    """Write a file in the format of its suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sf.write(path, pcm, rate_hz)
    return path
