"""Corpora that we make ourselves: a folder with audio and a manifest, as any other corpus."""

import csv
from collections.abc import Iterable
from pathlib import Path
from typing import Final, NamedTuple

import soundfile

from earshot_node.synth.filters import Samples
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ

OPUS_COMPRESSION: Final = 0.928
"""libsndfile's scale from 256 to 6 kbit/s a channel: 24 kbit/s, as recordings of corpora often are. Audio without
traces of a codec would tell the network that there is no siren."""


class Row(NamedTuple):
    """One line of a manifest of sounds without sirens; `corpus/recordings.py` says what the columns mean."""

    path: str
    label: str
    kind: str
    source: str
    orig: str
    licence: str
    dur: str
    note: str = ""
    is_siren: str = "0"


def write_opus(path: Path, samples: Samples) -> None:
    """Write 16 kHz mono samples as Ogg Opus; libsndfile's error or OSError where that cannot be."""
    soundfile.write(path, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=OPUS_COMPRESSION)


def write_manifest(path: Path, rows: Iterable[Row]) -> None:
    """Write a manifest whole or not at all."""
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(Row._fields)
        writer.writerows(rows)
    part.replace(path)
