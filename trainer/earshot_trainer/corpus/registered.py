"""The corpora that `trainer-cli corpora add` registered, as recordings to learn from.

recordings = registered_recordings(Corpora(open_catalogue(home.catalogue_url)))
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.corpora import Corpora, Corpus
from earshot_trainer.corpus.layouts import detect_layout, read_layout
from earshot_trainer.corpus.licences import forbids_commercial_use, is_unclear
from earshot_trainer.corpus.recordings import Recording


@dataclass(frozen=True, slots=True)
class Found:
    """What a corpus holds.

    Attributes:
        recordings: those whose files are there.
        missing: how many files its table lists and its folder does not hold.
    """

    recordings: tuple[Recording, ...]
    missing: int


def registered_recordings(corpora: Corpora) -> list[Recording]:
    """Return the recordings of all registered corpora; empty if there is none.

    A recording that two of them list is returned once, from the first by name.

    Raises:
        OperatorError: one is gone or cannot be read; names it.
    """
    found: dict[Path, Recording] = {}
    for corpus in corpora.all():
        for recording in read_corpus(corpus).recordings:
            found.setdefault(recording.path, recording)
    return list(found.values())


def read_corpus(corpus: Corpus) -> Found:
    """Return what is there of a registered corpus now.

    Raises:
        OperatorError: it is gone or cannot be read.
    """
    try:
        return _there(read_layout(corpus.layout, corpus.folder, corpus.manifest), corpus.folder)
    except OperatorError as error:
        raise OperatorError(f"corpus {corpus.name}: {error}; or `trainer-cli corpora remove {corpus.name}`") from error


def register(corpora: Corpora, name: str, folder: Path, manifest: Path | None) -> tuple[Corpus, Found]:
    """Look at a folder, enter it, and return what was found.

    A public corpus may be there in part (some folds downloaded); a manifest of ours has to be complete.

    Args:
        corpora: where it is entered.
        name: a valid slug.
        folder: of the corpus; a manifest itself is understood too.
        manifest: its table, if it is not to be looked for.

    Raises:
        OperatorError: nothing is known there, files are missing, or it is entered already.
    """
    if manifest is None and folder.is_file():
        manifest = folder
        folder = folder.parent
    folder = folder.expanduser().absolute()
    layout, table = detect_layout(folder, manifest.expanduser().absolute() if manifest else None)
    found = _there(read_layout(layout, folder, table), folder)
    if layout == "manifest" and found.missing:
        raise OperatorError(f"{table}: {found.missing} of its files are not there; complete it or delete their lines")
    corpus = Corpus(
        name=name,
        layout=layout,
        folder=folder,
        manifest=table,
        recordings=len(found.recordings),
        duration_s=sum(one.duration_s for one in found.recordings),
        licences=licences_of(found.recordings),
        added="",
    )
    corpora.add(corpus, datetime.now(UTC))
    return corpus, found


def licences_of(recordings: Sequence[Recording]) -> str:
    """Return the licences in a line, the most frequent first; what is said of single files is left away."""
    counted = Counter(one.licence.partition(" (")[0].strip() for one in recordings)
    shown = [f"{name} ({count})" for name, count in counted.most_common(5)]
    return ", ".join(shown) + (f" and {len(counted) - 5} more" if len(counted) > 5 else "")


def is_non_commercial(recordings: Sequence[Recording]) -> bool:
    """Whether a licence forbids commercial use, or none is stated."""
    return any(forbids_commercial_use(one.licence) or is_unclear(one.licence) for one in recordings)


def _there(recordings: Sequence[Recording], folder: Path) -> Found:
    there = tuple(one for one in recordings if one.path.is_file())
    if not there:
        raise OperatorError(f"{folder}: none of the {len(recordings)} listed audio files is there")
    return Found(there, len(recordings) - len(there))
