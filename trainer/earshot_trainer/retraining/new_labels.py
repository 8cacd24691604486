"""Labels that a household began: which have enough recordings to become outputs, and which recordings tell of them."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from earshot_node.contract.recordings import RECORDINGS_NEEDED, RecordingInfo
from earshot_trainer.corpus.recordings import Recording

OWN_LICENCE: Final = "the household's own"
FEWEST_SESSIONS: Final = 2
"""Of one session nothing could be held out that was not learnt from."""
ONLY_WITHOUT: Final = "nothing said but without:"
"""Begins the note of a recording about which somebody said what it does not hold, and nothing else."""

Presence = Literal["holds", "without", "unknown"]


@dataclass(frozen=True)
class LabelCount:
    """Recordings of a label that the base has no output for."""

    label: str
    recordings: int
    sessions: int

    @property
    def enough(self) -> bool:
        """Whether it becomes an output."""
        return self.recordings >= RECORDINGS_NEEDED and self.sessions >= FEWEST_SESSIONS

    def __str__(self) -> str:
        here = f"{self.label}: {self.recordings} recordings of {self.sessions} session(s)"
        if self.enough:
            return f"{here}; it becomes an output of the model"
        missing = []
        if self.recordings < RECORDINGS_NEEDED:
            missing.append(f"{RECORDINGS_NEEDED - self.recordings} of {RECORDINGS_NEEDED} recordings are missing")
        if self.sessions < FEWEST_SESSIONS:
            missing.append("some on another day are missing, to be held out")
        return f"{here}; no output yet: {' and '.join(missing)}"


def count_labels(
    infos: Sequence[RecordingInfo], known: Collection[str], session_of: dict[str, str]
) -> tuple[LabelCount, ...]:
    """Count recordings and sessions of every label that is not among the known ones, in order of their names."""
    sessions: dict[str, list[str]] = {}
    for info in infos:
        for label in info.labelling.labels if info.labelling is not None else ():
            if label not in known:
                sessions.setdefault(label, []).append(session_of[info.sha256])
    return tuple(LabelCount(label, len(names), len(set(names))) for label, names in sorted(sessions.items()))


def presence(recording: Recording, label: str) -> Presence:
    """Tell whether a label is to be heard in a recording, as far as is known.

    The household's recording that somebody labelled with something else, or as background, is without it; one of which
    only was said that something else does not sound ("not a siren") may hold it. Of any other recording, synthesized
    or of a corpus, it is taken that the label is not in it, unless a word of its name is among those of the recording.
    """
    if label in recording.labels:
        return "holds"
    if recording.licence == OWN_LICENCE:
        if not recording.note.startswith(ONLY_WITHOUT):
            return "without"
        return "without" if label in recording.note.removeprefix(ONLY_WITHOUT).split() else "unknown"
    return "unknown" if shares_word(label, f"{recording.label} {recording.note}") else "without"


def shares_word(label: str, text: str) -> bool:
    """Tell whether a label and a text share a word: a `dog` may be what another calls `dog_bark`."""
    return bool(_words(label) & _words(text))


def _words(text: str) -> set[str]:
    return set(re.split(r"[^a-z0-9]+", text.lower())) - {""}
