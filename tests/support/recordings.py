"""A little corpus of synthesized sounds with its manifest, for tests of the trainer. Needs no torch."""

import csv
from pathlib import Path

import numpy as np
import soundfile

from earshot_node.synth.reference import reference_clips

COLUMNS = ("path", "label", "is_siren", "kind", "source", "licence", "fsid", "fold", "dur")


def write_corpus(folder: Path) -> Path:
    """Write two sirens, a horn, noise, a long siren and two long negatives; return the manifest.

    Folds `a` and `b` have a siren and another clip each; the long ones have the sources `street` and `room`.
    """
    clips = {clip.name: clip.samples for clip in reference_clips()}
    rng = np.random.default_rng(7)
    hiss = rng.normal(0, 0.01, 64_000).astype(np.float32)
    rows = [
        _row(folder, "wail", clips["wail"], "siren", fold="a", fsid="1"),
        _row(folder, "horn", clips["traffic_and_horn"], "car_horn", fold="a", fsid="2"),
        _row(folder, "hilo", clips["hilo"], "siren", fold="b", fsid="3"),
        _row(folder, "hiss", hiss, "noise", fold="b", fsid="4"),
        _row(folder, "long_siren", np.tile(clips["wail"], 3), "siren", kind="long", source="amrrashed"),
        _row(folder, "street", np.tile(clips["traffic_and_horn"], 4), "traffic", kind="long", source="street"),
        _row(folder, "room", np.tile(hiss, 4), "room", kind="long", source="room"),
    ]
    manifest = folder / "manifest.csv"
    with manifest.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return manifest


def _row(
    folder: Path,
    name: str,
    samples: np.ndarray,
    label: str,
    *,
    kind: str = "clip",
    source: str = "test",
    fold: str = "",
    fsid: str = "",
) -> dict[str, str]:
    file = f"{name}.flac"
    soundfile.write(folder / file, samples, 16_000)
    return {
        "path": file,
        "label": label,
        "is_siren": str(int(label == "siren")),
        "kind": kind,
        "source": source,
        "licence": "CC0",
        "fsid": fsid,
        "fold": fold,
        "dur": f"{len(samples) / 16_000:.2f}",
    }
