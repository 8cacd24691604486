"""A folder's audio into the home: each content once, whole or not at all."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.catalogue.library import Library
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.labelling.incoming import Incoming, LeftOutError, Naming, read_incoming
from earshot_trainer.labelling.words import is_same

Fate = Literal["new", "known", "labelled", "left out"]


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one file, or what would.

    Attributes:
        fate: `new`; `known`: this content was here with that labelling; `labelled`: it was here, and has another
            labelling now; `left out`.
        title: its labels as people say them, '' unlabelled or left out.
        reason: why it is left out, or what it was labelled with before; one line.
    """

    path: Path
    fate: Fate
    title: str = ""
    reason: str = ""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Importer:
    """Brings files in.

    Attributes:
        library: where they become visible, after their audio is kept.
        audio: where it is kept.
        incoming: folder for what is not whole yet.
        is_dry: only say what would happen.
    """

    library: Library
    audio: AudioStore
    incoming: Path
    is_dry: bool = False

    def bring(self, files: Sequence[Path], naming: Naming, on_progress: Callable[[], None]) -> Iterator[Row]:
        """Import files one after the other; what goes wrong with one holds up no other.

        Raises:
            OperatorError: the home cannot be written.
        """
        seen: dict[str, RecordingInfo] = {}
        for path in files:
            try:
                one = read_incoming(path, naming)
            except LeftOutError as error:
                yield Row(path, "left out", reason=str(error))
            except OSError as error:
                yield Row(path, "left out", reason=f"cannot be read: {error.strerror}")
            else:
                known = seen.get(one.info.sha256) or self.library.get(one.info.sha256)
                row = _judge(one, known)
                if row.fate != "known" and not self.is_dry:
                    self._keep(one)
                if row.fate != "known":
                    seen[one.info.sha256] = one.info
                yield row
            on_progress()

    def _keep(self, one: Incoming) -> None:
        if not self.audio.has(one.info.sha256):
            with tempfile.NamedTemporaryFile(dir=self.incoming, prefix="import-") as file:
                file.write(one.flac)
                file.flush()
                self.audio.put(one.info.sha256, Path(file.name))
        self.library.add(one.info, datetime.now(UTC))


def _judge(one: Incoming, known: RecordingInfo | None) -> Row:
    labelling = one.info.labelling
    title = labelling.title if labelling else ""
    if known is None:
        return Row(one.path, "new", title, duration_s=one.info.duration_s)
    was = known.labelling
    is_news = labelling is not None and not is_same(labelling, was) and (was is None or labelling.time > was.time)
    if not is_news:
        return Row(one.path, "known", was.title if was else "", duration_s=one.info.duration_s)
    before = f"was {was.title}" if was else "was unlabelled"
    return Row(one.path, "labelled", title, before, one.info.duration_s)
