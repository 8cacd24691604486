"""Tiny folders laid out as UrbanSound8K and ESC-50 are, with synthesized audio."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile as sf

URBANSOUND8K_HEADER = "slice_file_name,fsID,start,end,salience,fold,classID,class"
ESC50_HEADER = "filename,fold,target,category,esc10,src_file,take"
CLASSES = ("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling")


def write_tone(path: Path, pitch_hz: float, seconds: float = 0.2, rate_hz: int = 44_100) -> None:
    """Write a quiet tone, stereo as many of the originals are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tone = 0.1 * np.sin(2 * np.pi * pitch_hz * np.arange(round(rate_hz * seconds)) / rate_hz)
    sf.write(path, np.stack([tone, tone], axis=1), rate_hz, subtype="PCM_16")


def make_urbansound8k(folder: Path, rows: Iterable[tuple[str, str, int, str]]) -> Path:
    """Write clips of (file name, Freesound id, fold, class), and the table; returns the folder."""
    lines = [URBANSOUND8K_HEADER]
    for number, (name, freesound_id, fold, class_name) in enumerate(rows):
        write_tone(folder / "audio" / f"fold{fold}" / name, 300 + 50 * number)
        lines.append(f"{name},{freesound_id},1.5,5.5,1,{fold},{number % 10},{class_name}")
    (folder / "metadata").mkdir()
    (folder / "metadata/UrbanSound8K.csv").write_text("\n".join(lines) + "\n")
    return folder


def make_esc50(folder: Path, rows: Iterable[tuple[str, int, str, bool, str]]) -> Path:
    """Write clips of (file name, fold, category, whether in ESC-10, Freesound id), and the table."""
    lines = [ESC50_HEADER]
    for number, (name, fold, category, is_esc10, freesound_id) in enumerate(rows):
        write_tone(folder / "audio" / name, 300 + 50 * number)
        lines.append(f"{name},{fold},{number},{category},{is_esc10},{freesound_id},A")
    (folder / "meta").mkdir()
    (folder / "meta/esc50.csv").write_text("\n".join(lines) + "\n")
    return folder
