"""Log-mel frames of everything that segments are mixed from, computed once and kept in one memory-mapped file.

Mixing works on frames, not on samples: a segment costs a few array operations, so that the network sets the pace, and
a corpus of any size needs the memory of one batch.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from earshot_trainer.network.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ, ModelConfig
from earshot_trainer.network.features import LogMel

BLOCK_SAMPLES = 60 * SAMPLE_RATE_HZ
SCHEMA = 2
Int16Array = npt.NDArray[np.int16]
Frames = npt.NDArray[np.float16]
FEATURE_KEYS = ("window_samples", "n_mels", "mel_min_hz", "mel_max_hz", "power_floor", "magnitudes")


class MelBank:
    """Frames of sounds in a fixed order.

    Attributes:
        frames: float16 [total, mels], natural logarithm of power, read from disk as it is needed.
        first: int64 [sounds + 1], where each sound begins.
    """

    def __init__(self, frames: Frames, first: npt.NDArray[np.int64]) -> None:
        self.frames = frames
        self.first = first

    def of(self, sound: int) -> Frames:
        """The frames of one sound, a view."""
        return self.frames[self.first[sound] : self.first[sound + 1]]


def build_bank(
    sounds: Sequence[Int16Array], config: ModelConfig, folder: Path, keys: Sequence[str] | None = None
) -> MelBank:
    """Frames of sounds of 16 kHz mono audio; from `folder` if the same sounds were seen with the same features.

    A sound's last frame is its last whole 10 ms. `keys` name what the sounds hold, so that it need not be read to
    know whether it has changed; an empty one leaves that sound to be read.
    """
    first = np.cumsum([0, *(len(samples) // MEL_HOP_SAMPLES for samples in sounds)])
    path = folder / f"mels-{_digest(sounds, keys or [''] * len(sounds), config)}.f16"
    expected = int(first[-1]) * config.n_mels * np.dtype(np.float16).itemsize
    if not path.exists() or path.stat().st_size != expected:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{np.random.default_rng().integers(2**32):08x}.part")
        with temporary.open("wb") as stream:
            for block in _blocks(sounds, config):
                stream.write(block.tobytes())
        temporary.replace(path)
    shape = (int(first[-1]), config.n_mels)
    frames = np.memmap(path, dtype=np.float16, mode="r", shape=shape) if expected else np.zeros(shape, np.float16)
    return MelBank(frames, first)


def _blocks(sounds: Sequence[Int16Array], config: ModelConfig) -> Iterable[Frames]:
    log_mel = LogMel(config)
    for samples in sounds:
        cache = log_mel.initial_cache(1)
        whole = len(samples) - len(samples) % MEL_HOP_SAMPLES
        for start in range(0, whole, BLOCK_SAMPLES):
            block = np.array(samples[start : min(whole, start + BLOCK_SAMPLES)], dtype=np.float32) / 32768.0
            with torch.no_grad():
                frames, cache = log_mel(torch.from_numpy(block)[None], cache)
            yield frames[0].numpy().astype(np.float16)


def _digest(sounds: Sequence[Int16Array], keys: Sequence[str], config: ModelConfig) -> str:
    values: dict[str, Any] = config.to_dict()
    digest = hashlib.sha256(json.dumps([SCHEMA, {key: values[key] for key in FEATURE_KEYS}]).encode())
    for samples, key in zip(sounds, keys, strict=True):
        digest.update(len(samples).to_bytes(8, "little"))
        digest.update(key.encode() if key else np.ascontiguousarray(samples).data)
    return digest.hexdigest()[:24]
