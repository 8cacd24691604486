"""Recordings out of the home: FLAC, JSON and a manifest that `trainer-cli train --data` reads."""

import csv
import io
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from earshot_node.contract.names import SIREN
from earshot_node.contract.recordings import BACKGROUND, RecordingInfo
from earshot_node.deployment.durable import flush_folder, write_file
from earshot_node.errors import OperatorError
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.corpus.layouts import MANIFEST_NAME
from earshot_trainer.corpus.recordings import LEAVE_OUT_NOTE
from earshot_trainer.labelling.sessions import sessions_of
from earshot_trainer.labelling.words import NOT, UNLABELLED

COLUMNS: Final = ("path", "label", "is_siren", "labels", "kind", "source", "orig", "licence", "dur", "note")
LICENCE: Final = "own recording"
LONG_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which recordings.

    Attributes:
        labels: any of these words (a label, background, unlabelled); empty: all.
        nodes: from any of these; empty: all.
        since: begun then or later; None: whenever.
    """

    labels: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()
    since: datetime | None = None

    def has(self, info: RecordingInfo) -> bool:
        """Whether a recording is wanted."""
        return (
            (not self.labels or not set(self.labels).isdisjoint(words_of(info)))
            and (not self.nodes or info.node in self.nodes)
            and (self.since is None or info.begin >= self.since)
        )


def words_of(info: RecordingInfo) -> tuple[str, ...]:
    """Return the words for what is in a recording, as `import` takes them."""
    said = info.labelling
    if said is None:
        return (UNLABELLED,)
    return (*said.labels, *(f"{NOT}{label}" for label in said.absent)) or (BACKGROUND,)


def export(chosen: Sequence[RecordingInfo], audio: AudioStore, target: Path, on_progress: Callable[[], None]) -> Path:
    """Write recordings into a new folder, which appears when all of them are in it; return the manifest's path.

    Args:
        chosen: not empty.
        audio: where their audio is.
        target: must be empty or not exist.
        on_progress: told after each.

    Raises:
        OperatorError: the folder holds something, or cannot be written; audio is missing.
    """
    target = target.absolute()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise OperatorError(f"{target} holds something already; name a new folder")
        part = target.with_name(f".{target.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700, parents=True)
        rows = []
        sessions = sessions_of(chosen)
        for info in chosen:
            name = Path("+".join(words_of(info))) / f"{info.id}-{info.sha256[:8]}.flac"
            (part / name.parent).mkdir(parents=True, exist_ok=True)
            write_file(part / name, audio.read(info.sha256))
            write_file((part / name).with_suffix(".json"), info.encode())
            rows.append(_row(info, str(name), sessions[info.sha256]))
            on_progress()
        write_file(part / MANIFEST_NAME, _csv(rows))
        part.replace(target)
        flush_folder(target.parent)
    except OSError as error:
        raise OperatorError(f"{target}: cannot be written ({error.strerror}); name another folder") from error
    return target / MANIFEST_NAME


def _row(info: RecordingInfo, name: str, session: str) -> tuple[str, ...]:
    said = info.labelling
    says_nothing = said is None or (not said.labels and said.absent and SIREN not in said.absent)
    return (
        name,
        said.title if said else UNLABELLED,
        str(int(said is not None and SIREN in said.labels)),
        " ".join(said.labels) if said else "",
        "long" if info.duration_s >= LONG_S else "clip",
        info.node,
        session,
        LICENCE,
        f"{info.duration_s:.3f}",
        f"{LEAVE_OUT_NOTE}: nobody says whether a siren is in it" if says_nothing else "",
    )


def _csv(rows: Sequence[tuple[str, ...]]) -> bytes:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue().encode()
