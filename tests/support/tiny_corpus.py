"""A tiny corpus on disk: sweeping tones as sirens, noise as negatives."""

from pathlib import Path

import numpy as np
import soundfile as sf

RATE_HZ = 16_000


def make_corpus(folder: Path, sirens: int = 3, negatives: int = 4, seconds: float = 2.0) -> Path:
    """Write WAV files and their manifest; returns the manifest's path."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(7)
    time_s = np.arange(int(RATE_HZ * seconds)) / RATE_HZ
    rows = ["path,label,is_siren,kind,source,fsid,fold,dur,licence"]
    for index in range(sirens):
        pitch_hz = 900 + 300 * np.sin(2 * np.pi * (0.5 + 0.2 * index) * time_s)
        tone = 0.3 * np.sin(2 * np.pi * np.cumsum(pitch_hz) / RATE_HZ)
        sf.write(folder / f"siren{index}.wav", tone, RATE_HZ, subtype="PCM_16")
        rows.append(f"siren{index}.wav,siren,1,clip,tiny,{100 + index},fold{index % 2},{seconds},CC0")
    for index in range(negatives):
        noise = 0.05 * rng.standard_normal(len(time_s))
        sf.write(folder / f"noise{index}.wav", noise, RATE_HZ, subtype="PCM_16")
        rows.append(f"noise{index}.wav,noise,0,clip,tiny,{200 + index},fold{index % 2},{seconds},CC-BY")
    manifest = folder / "manifest.csv"
    manifest.write_text("\n".join(rows) + "\n")
    return manifest


TINY_RECIPE = """\
name: tiny
model:
  labels: [siren]
  n_mels: 32
  channels: [4, 4, 8, 8]
  embedding: 8
  hidden: 8
mixing: {segment_s: 1.0}
mining: {every_steps: 3}
synthetic: {sirens: 2, traps: 1, length_s: 1.5}
training: {steps: 12, batch_size: 4, checkpoint_every_steps: 4, seed: 3}
"""


def write_recipe(folder: Path, text: str = TINY_RECIPE) -> Path:
    """Write a recipe that trains in a second."""
    path = folder / "tiny.yaml"
    path.write_text(text)
    return path
