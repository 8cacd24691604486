"""A corpus of pieces: a folder with audio and a manifest, as any other corpus."""

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earshot_node.errors import OperatorError
from earshot_trainer.music.composing import compose
from earshot_trainer.music.playing import Samples, SoundFontPlayer
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ

LABEL = "music"
PEAK = 0.7
SILENT = 1e-4
OPUS_COMPRESSION = 0.928
"""libsndfile's scale from 256 to 6 kbit/s a channel: 24 kbit/s, as recordings of corpora often are. Audio without
traces of a codec would tell the network that there is no siren."""
COLUMNS = ("path", "label", "is_siren", "kind", "source", "orig", "licence", "dur", "note")


@dataclass(frozen=True)
class MusicOrder:
    """How many `pieces` of which length; the same `seed` gives the same pieces."""

    pieces: int
    seconds: float
    seed: int
    licence: str = ""


def write_music(
    soundfont: Path, folder: Path, order: MusicOrder, progress: Callable[[int], None] = lambda _: None
) -> Path:
    """Write Ogg Opus files and `manifest.csv` to `folder`, which is made; return the manifest.

    A piece is a group of its own (`orig`) and its SoundFont the source, so that a split can hold out either. The
    manifest is written last: a folder without one was not finished. `progress` is called with 1 after each piece.

    Raises:
        OperatorError: the SoundFont cannot be played, or nothing can be written there.
    """
    manifest = folder / "manifest.csv"
    with SoundFontPlayer(soundfont) as player:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            manifest.unlink(missing_ok=True)
            rows = []
            for number in range(order.pieces):
                rows.append(_write_piece(player, folder, soundfont.stem, number, order))
                progress(1)
            _write_manifest(manifest, rows)
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperatorError(f"cannot write music to {folder}: {error}; try another folder") from error
    return manifest


def _write_piece(player: SoundFontPlayer, folder: Path, font: str, number: int, order: MusicOrder) -> tuple[str, ...]:
    piece = compose(np.random.default_rng([order.seed, number, *font.encode()]), order.seconds)
    name = f"{font}_{number:04}.opus"
    samples = _at_peak(player.play(piece))
    soundfile.write(
        folder / name,
        samples,
        SAMPLE_RATE_HZ,
        format="OGG",
        subtype="OPUS",
        compression_level=OPUS_COMPRESSION,
    )
    original = f"seed {order.seed} piece {number}"
    return (name, LABEL, "0", "long", font, original, order.licence, f"{order.seconds:g}", str(piece))


def _at_peak(samples: Samples) -> Samples:
    """At a common peak; instruments that do not reach the drawn octave leave silence, which stays silence."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak < SILENT else samples * np.float32(PEAK / peak)


def _write_manifest(path: Path, rows: Sequence[tuple[str, ...]]) -> None:
    part = path.with_suffix(".part")
    with part.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        writer.writerows(rows)
    part.replace(path)
