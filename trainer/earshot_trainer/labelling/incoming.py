"""One audio file that is to be imported: its audio as it will be kept, and what is known about it."""

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import soundfile

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.audio.level import SILENCE_DBFS
from earshot_node.contract.config import FileSource
from earshot_node.contract.recordings import BACKGROUND, Labelling, RecordingInfo
from earshot_node.errors import EarshotError, MessageError, OperatorError
from earshot_node.recordings.draft import draft_from_samples
from earshot_node.ring import Pcm
from earshot_trainer.labelling.sessions import imported_source
from earshot_trainer.labelling.words import UNLABELLED, labelling_of, new_words
from earshot_trainer.retraining.own import IMPORTED_NODE

LONGEST_S: Final = 600.0
SHORTEST_S: Final = 0.2
MAX_JSON_BYTES: Final = 1 << 20
_EARLIEST: Final = datetime(2000, 1, 2, tzinfo=UTC)


class LeftOutError(OperatorError):
    """The file is not imported; the text says why."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A file that can be imported.

    Attributes:
        path: the file.
        flac: mono 16 kHz audio as it will be kept, byte by byte what `info.sha256` says.
        info: what will be known about it.
    """

    path: Path
    flac: bytes
    info: RecordingInfo


@dataclass(frozen=True, slots=True)
class Naming:
    """How labels come to files.

    Attributes:
        folder: what is imported; a file's subfolder in it names its label.
        given: labels by option, for all; they come before what JSON and folders say.
        known: labels of this household.
        takes_new: whether other labels are taken.
    """

    folder: Path
    given: tuple[str, ...]
    known: tuple[str, ...]
    takes_new: bool

    def labelling(self, path: Path, from_json: Labelling | None) -> Labelling | None:
        """Return what a file is labelled with; None if nobody says anything.

        Raises:
            LeftOutError: the words are no labels, or labels that nobody uses here.
        """
        words = self.given
        if not words:
            if from_json is not None:
                return from_json
            parent = path.parent
            words = () if parent == self.folder or parent.name.lower() == UNLABELLED else (parent.name,)
        if not words:
            return None
        try:
            said = labelling_of(words, by="command_line")
        except OperatorError as error:
            raise LeftOutError(f"{error}; rename the folder, or use --label") from error
        if not self.takes_new and (new := new_words(said, self.known)):
            raise LeftOutError(f"{new}; use --new-label, or --label {self.known[0]} or --label {BACKGROUND}")
        return said


def read_incoming(path: Path, naming: Naming) -> Incoming:
    """Read a file with the JSON beside it, if there is one of ours.

    Raises:
        LeftOutError: it cannot be used; says why.
    """
    info = _json_beside(path)
    if info is not None:
        flac = path.read_bytes()
        if hashlib.sha256(flac).hexdigest() != info.sha256:
            raise LeftOutError("the audio is not the one that its JSON describes; restore it, or delete the JSON")
        labelling = naming.labelling(path, info.labelling)
        return Incoming(path, flac, info.model_copy(update={"labelling": labelling, "size_bytes": len(flac)}))
    labelling = naming.labelling(path, None)
    pcm = _decoded(path)
    source = FileSource(type="file", id=IMPORTED_NODE, path=str(path))
    seconds = len(pcm) / SAMPLE_RATE_HZ
    begin = max(_EARLIEST, datetime.fromtimestamp(path.stat().st_mtime, UTC) - timedelta(seconds=seconds))
    draft = draft_from_samples(pcm, begin, IMPORTED_NODE, source)
    made = draft.info(labelling)
    if made.peak_dbfs <= SILENCE_DBFS:
        raise LeftOutError("it is silent from beginning to end")
    original = path.read_bytes() if _is_as_we_keep_it(path) else draft.flac
    sha256 = hashlib.sha256(original).hexdigest()
    update = {"sha256": sha256, "size_bytes": len(original), "source": imported_source(path.stem, sha256)}
    return Incoming(path, original, made.model_copy(update=update))


def _json_beside(path: Path) -> RecordingInfo | None:
    """Return what `X.json` beside `X.flac` says; None if there is none, or none that is about recordings."""
    beside = path.with_suffix(".json")
    if not beside.is_file():
        return None
    if beside.stat().st_size > MAX_JSON_BYTES:
        raise LeftOutError(f"{beside.name} is too large for a recording's JSON")
    data = beside.read_bytes()
    try:
        values = json.loads(data)
    except ValueError as error:
        raise LeftOutError(f"{beside.name} is no JSON ({error}); repair or delete it") from error
    if not isinstance(values, dict) or "sha256" not in values or "schema" not in values:
        return None
    try:
        return RecordingInfo.decode(data)
    except MessageError as error:
        raise LeftOutError(f"{beside.name}: {error}") from error


def _decoded(path: Path) -> Pcm:
    pieces = []
    length = 0
    try:
        for piece in read_audio_file(path):
            pieces.append(np.round(piece * 32768.0).clip(-32768, 32767).astype(np.int16))
            length += len(piece)
            if length > LONGEST_S * SAMPLE_RATE_HZ:
                break
    except EarshotError as error:
        raise LeftOutError(str(error).removeprefix(f"{path}: ")) from error
    if length > LONGEST_S * SAMPLE_RATE_HZ:
        raise LeftOutError(f"longer than {LONGEST_S / 60:.0f} minutes; cut it, or use `trainer-cli corpora add`")
    if length < SHORTEST_S * SAMPLE_RATE_HZ:
        raise LeftOutError(f"shorter than {SHORTEST_S} s")
    return np.concatenate(pieces)


def _is_as_we_keep_it(path: Path) -> bool:
    """Whether a file needs no conversion, so that its content keeps its hash."""
    found = soundfile.info(str(path))
    kept = ("FLAC", "PCM_16", SAMPLE_RATE_HZ, 1)
    return (found.format, found.subtype, found.samplerate, found.channels) == kept
