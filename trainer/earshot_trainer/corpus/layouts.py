"""Corpora as they lie on a disk: a manifest of ours, or a public corpus as its authors hand it out.

A public corpus is known by its layout. Its classes become our labels: what is no siren is background. Its folds and
original recordings are kept, so that no split divides what its authors held together.
"""

import csv
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import LEAVE_OUT_NOTE, Recording, load_manifest
from earshot_trainer.corpus.words import doubtful_in, labels_of

Layout = Literal["manifest", "urbansound8k", "esc50"]

MANIFEST_NAME: Final = "manifest.csv"
URBANSOUND8K_TABLE: Final = "metadata/UrbanSound8K.csv"
ESC50_TABLE: Final = "meta/esc50.csv"
TABLES: Final[dict[Layout, str]] = {
    "urbansound8k": URBANSOUND8K_TABLE,
    "esc50": ESC50_TABLE,
    "manifest": MANIFEST_NAME,
}
SIREN_CLASS: Final = "siren"

_ONE_RECORDIST: Final = frozenset({"159738", "159742", "159743", "159747", "159750"})
"""UrbanSound8K's sirens of one recordist under several numbers, over several folds: one group here."""
_WRONG: Final = frozenset({"17615-3-0-6.wav"})
"""UrbanSound8K's clips that sound like another class than they are listed under (a dog that is a siren)."""
_ESC_CLIP_S: Final = 5.0


def detect_layout(folder: Path, manifest: Path | None) -> tuple[Layout, Path]:
    """Return what lies in a folder, and its table.

    Args:
        folder: of the corpus.
        manifest: a table in our own form, wherever it is; None: look for one.

    Raises:
        OperatorError: there is nothing that can be read.
    """
    if manifest is not None:
        return "manifest", manifest
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder; give the one that holds the corpus, or a manifest by --manifest")
    for layout, name in TABLES.items():
        if (folder / name).is_file():
            return layout, folder / name
    looked = ", ".join(TABLES.values())
    raise OperatorError(f"{folder}: no corpus that is known (looked for {looked}); write a manifest.csv there")


def read_layout(layout: Layout, folder: Path, table: Path) -> list[Recording]:
    """Return a corpus's recordings, whether their files are there or not.

    Raises:
        OperatorError: the table cannot be read or lists nothing.
    """
    if layout == "manifest":
        return load_manifest(table)
    found = [one for one in _rows(table, _READERS[layout], folder) if LEAVE_OUT_NOTE not in one.note]
    if not found:
        raise OperatorError(f"{table} lists no recording; download the corpus again")
    return found


def _urbansound8k(row: Mapping[str, str], folder: Path) -> Recording:
    name, number = row["slice_file_name"], row["fsID"]
    return _recording(
        folder / "audio" / f"fold{int(row['fold'])}" / Path(name).name,
        row["class"],
        source="us8k",
        group=min(_ONE_RECORDIST) if number in _ONE_RECORDIST else number,
        fold=f"us8k-fold{int(row['fold'])}",
        duration_s=float(row["end"]) - float(row["start"]),
        licence="UrbanSound8K CC BY-NC 3.0",
        note=LEAVE_OUT_NOTE if name in _WRONG else "",
    )


def _esc50(row: Mapping[str, str], folder: Path) -> Recording:
    is_esc10 = row.get("esc10", "").lower() == "true"
    return _recording(
        folder / "audio" / Path(row["filename"]).name,
        row["category"],
        source="esc10" if is_esc10 else "esc50",
        group=row["src_file"],
        fold=f"{'esc10' if is_esc10 else 'esc50'}-fold{int(row['fold'])}",
        duration_s=_ESC_CLIP_S,
        licence="ESC-10 CC BY 3.0" if is_esc10 else "ESC-50 CC BY-NC 3.0",
        note="",
    )


_READERS: Final[dict[Layout, Callable[[Mapping[str, str], Path], Recording]]] = {
    "urbansound8k": _urbansound8k,
    "esc50": _esc50,
}


def _recording(
    path: Path, label: str, *, source: str, group: str, fold: str, duration_s: float, licence: str, note: str
) -> Recording:
    if not group or not label or not path.suffix:
        raise ValueError("an empty field")
    return Recording(
        path=path.absolute(),
        name=path.name,
        label=label,
        labels=labels_of(label) | ({SIREN_CLASS} if label == SIREN_CLASS else set()),
        kind="clip",
        source=source,
        group=group,
        fold=fold,
        duration_s=duration_s,
        licence=licence,
        note=note,
        doubtful=doubtful_in(label),
    )


def _rows(table: Path, read: Callable[[Mapping[str, str], Path], Recording], folder: Path) -> Iterator[Recording]:
    try:
        with table.open(newline="", encoding="utf-8") as stream:
            for line, row in enumerate(csv.DictReader(stream), start=2):
                try:
                    yield read(row, folder)
                except (KeyError, ValueError, TypeError) as error:
                    raise OperatorError(
                        f"{table} line {line}: not as its authors made it ({error}); download the corpus again"
                    ) from error
    except OSError as error:
        raise OperatorError(f"cannot read {table}: {error.strerror}; check the folder") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{table} is no CSV file in UTF-8: {error}; download the corpus again") from error
