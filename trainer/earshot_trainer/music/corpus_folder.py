"""A corpus of pieces: a folder with audio and a manifest, as any other corpus."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.layouts import MANIFEST_NAME
from earshot_trainer.corpus.writing import Row, write_manifest, write_opus
from earshot_trainer.music.composing import compose
from earshot_trainer.music.playing import Samples, SoundFontPlayer

LABEL = "music"
PEAK = 0.7
SILENT = 1e-4


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
    manifest = folder / MANIFEST_NAME
    with SoundFontPlayer(soundfont) as player:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            manifest.unlink(missing_ok=True)
            rows = []
            for number in range(order.pieces):
                rows.append(_write_piece(player, folder, soundfont.stem, number, order))
                progress(1)
            write_manifest(manifest, rows)
        except (OSError, soundfile.LibsndfileError) as error:
            raise OperatorError(f"cannot write music to {folder}: {error}; try another folder") from error
    return manifest


def _write_piece(player: SoundFontPlayer, folder: Path, font: str, number: int, order: MusicOrder) -> Row:
    piece = compose(np.random.default_rng([order.seed, number, *font.encode()]), order.seconds)
    name = f"{font}_{number:04}.opus"
    write_opus(folder / name, _at_peak(player.play(piece)))
    original = f"seed {order.seed} piece {number}"
    return Row(name, LABEL, "long", font, original, order.licence, f"{order.seconds:g}", str(piece))


def _at_peak(samples: Samples) -> Samples:
    """At a common peak; instruments that do not reach the drawn octave leave silence, which stays silence."""
    peak = float(np.abs(samples).max(initial=0.0))
    return samples if peak < SILENT else samples * np.float32(PEAK / peak)
