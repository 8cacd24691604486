"""What there is to learn from: manifest CSV files read into recordings.

A manifest is a CSV file with at least `path` and `label`; `is_siren`, `labels`, `kind`, `source`, `orig`, `licence`,
`fsid`, `fold`, `dur` and `note` are used where present. Paths are relative to the manifest's folder. `labels` names all
that sounds, with spaces between; without it, `is_siren` or `label` say whether a siren does, and `words.yaml` what else
a `label` means.
"""

import csv
import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.words import doubtful_in, labels_of

REQUIRED_COLUMNS = ("path", "label")
LEAVE_OUT_NOTE = "leave out"


@dataclass(frozen=True)
class Recording:
    """One audio file of the corpus.

    `group` names the original recording that the file was cut from: all files of a group stay on one side of a
    split. `labels` are the events heard in it; an empty set is background. Of `doubtful` labels nobody knows.
    """

    path: Path
    name: str
    label: str
    labels: frozenset[str]
    kind: Literal["clip", "long"]
    source: str
    group: str
    fold: str
    duration_s: float
    licence: str
    note: str
    doubtful: frozenset[str] = frozenset()

    @property
    def is_siren(self) -> bool:
        """Whether a siren sounds in it."""
        return "siren" in self.labels


def expand_path(text: str) -> Path:
    """Path with `~` and `$NAME` replaced; an environment variable that is not set is the operator's to fix."""
    expanded = os.path.expandvars(text)
    if "$" in expanded:
        raise OperatorError(
            f"cannot read {text}: an environment variable in it is not set; "
            "try `export EARSHOT_DATA=FOLDER` or write the path in full"
        )
    return Path(expanded).expanduser()


def load_manifest(path: Path) -> list[Recording]:
    """Recordings of one manifest in file order; rows whose note says to leave them out are dropped."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in REQUIRED_COLUMNS if name not in (reader.fieldnames or ())]
            if missing:
                raise OperatorError(f"{path}: column {missing[0]!r} is missing; a manifest needs {REQUIRED_COLUMNS}")
            rows = [_parse_row(row, path, line) for line, row in enumerate(reader, start=2)]
    except OSError as error:
        raise OperatorError(f"cannot read manifest {path}: {error.strerror}; try the path of a manifest.csv") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise OperatorError(f"{path} is no CSV file in UTF-8: {error}; try the path of a manifest.csv") from error
    kept = [recording for recording in rows if LEAVE_OUT_NOTE not in recording.note]
    if not kept:
        raise OperatorError(f"{path} lists no recording; add rows with path and label")
    return kept


def load_manifests(paths: Iterable[Path]) -> list[Recording]:
    """Recordings of several manifests; a file named twice is an error."""
    recordings: list[Recording] = []
    seen: dict[Path, Path] = {}
    for path in paths:
        for recording in load_manifest(path):
            if recording.path in seen:
                raise OperatorError(f"{path}: {recording.name} is also listed in {seen[recording.path]}; name it once")
            seen[recording.path] = path
            recordings.append(recording)
    return recordings


def dataset_hash(recordings: Sequence[Recording]) -> str:
    """Hash over names, labels, groups and file sizes: the same on every machine that holds the same corpus."""
    digest = hashlib.sha256()
    for recording in sorted(recordings, key=lambda r: (r.source, r.name)):
        size = recording.path.stat().st_size
        row = (recording.source, recording.name, *sorted(recording.labels), recording.group, str(size))
        digest.update("\x1f".join(row).encode() + b"\n")
    return digest.hexdigest()


def _parse_row(row: Mapping[str, str | None], manifest: Path, line: int) -> Recording:
    def text(column: str) -> str:
        return (row.get(column) or "").strip()

    name, label = text("path"), text("label")
    if not name or not label:
        raise OperatorError(f"{manifest} line {line}: path or label is empty; fill it in or delete the line")
    try:
        duration_s = float(text("dur") or 0.0)
    except ValueError as error:
        raise OperatorError(f"{manifest} line {line}: dur is {text('dur')!r}, expected seconds") from error
    is_siren = text("is_siren") == "1" if text("is_siren") else label == "siren"
    source = text("source") or manifest.parent.name
    said = frozenset(text("labels").split())
    return Recording(
        path=(manifest.parent / name).absolute(),
        name=name,
        label=label,
        labels=said or (labels_of(label) | ({"siren"} if is_siren else set())),
        kind="long" if text("kind") == "long" else "clip",
        source=source,
        group=_group(text("fsid"), source, text("orig"), name),
        fold=text("fold"),
        duration_s=duration_s,
        licence=text("licence") or "none stated",
        note=text("note"),
        doubtful=frozenset() if said else doubtful_in(label),
    )


def _group(fsid: str, source: str, orig: str, name: str) -> str:
    """Freesound id where known, else the original file; joined clips (`+19 more`) are a group of their own."""
    if fsid:
        return fsid
    if orig and "more, see" not in orig:
        return f"{source}/{orig}"
    return f"{source}/{name}"
