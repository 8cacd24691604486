"""The household's own recordings: from the catalogue to a side of the split, in whole sessions."""

import csv
import hashlib
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from earshot_node.contract.recordings import BACKGROUND, RecordingInfo
from earshot_node.deployment.durable import make_folder, write_file
from earshot_node.errors import OperatorError
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.retraining.new_labels import ONLY_WITHOUT, OWN_LICENCE

NO_SIREN: Final = "no siren"
KINDS: Final = ("siren", NO_SIREN)
COLUMNS: Final = ("path", "label", "labels", "is_siren", "kind", "source", "fsid", "licence", "dur", "note")
LAST_TAKES: Final = " (its last takes)"
FEWEST_TAKES: Final = 4
IMPORTED_NODE: Final = "imported"
"""The node of recordings that came from a folder and not from a node."""


@dataclass(frozen=True)
class OwnSplit:
    """Two sides that share no session, but for a kind of which there is one sitting only.

    Attributes:
        train, held_out: in order of time.
        session_of: recording's sha256 -> name of its session; the last takes of a sitting have one of their own.
        notes: what a person should know, one line each.
        same_sitting: whether last takes are held out whose earlier ones are trained on: what they show, flatters.
    """

    train: tuple[RecordingInfo, ...]
    held_out: tuple[RecordingInfo, ...]
    session_of: dict[str, str]
    notes: tuple[str, ...]
    same_sitting: bool = False


def name_sessions(infos: Sequence[RecordingInfo], gap_s: float) -> dict[str, str]:
    """Return each recording's session by its sha256.

    A session is what the house recorded without a pause longer than `gap_s`: a siren that two microphones hear is the
    same siren. All recordings around one event are of one session with whatever else is. The times of imported files
    say nothing about others, so only those of the same source are compared.
    """
    sessions: dict[str, str] = {}
    by_event: dict[str, str] = {}
    ends: dict[str, tuple[datetime, str]] = {}
    for info in sorted(infos, key=lambda one: (one.begin, one.sha256)):
        place = info.source if info.node == IMPORTED_NODE else ""
        end, current = ends.get(place, (None, ""))
        event = info.event.id if info.event is not None else ""
        if event in by_event:
            name = by_event[event]
        elif end is not None and (info.begin - end).total_seconds() <= gap_s:
            name = current
        else:
            name = f"{info.node}/{info.source}/{info.begin:%Y%m%dT%H%M%S}-{info.sha256[:4]}"
        sessions[info.sha256] = name
        if event:
            by_event[event] = name
        until = info.begin + timedelta(seconds=info.duration_s)
        ends[place] = (max(until, end) if end is not None else until, name)
    return sessions


def split_own(
    infos: Sequence[RecordingInfo],
    share: float,
    gap_s: float,
    seed: int,
    held_out_from: datetime | None = None,
    added: Sequence[str] = (),
) -> OwnSplit:
    """Keep about `share` of each kind of recordings back, in whole sessions drawn by `seed`.

    A session that was kept back mostly stays so when others come: what an earlier model learnt from is no fair test of
    it. Where a kind has one session only, its last takes are kept back; if it is not of takes, all of it is trained on.
    A note says so.

    Args:
        infos: labelled recordings.
        share: of each kind (siren, or none).
        gap_s: see `name_sessions`.
        seed: of the draw.
        held_out_from: instead of drawing, keep back the sessions that begin at this time or later.
        added: labels besides siren of which some are to be on either side.
    """
    session_of = name_sessions(infos, gap_s)
    ordered = sorted(infos, key=lambda one: (one.begin, one.sha256))
    begins: dict[str, datetime] = {}
    for info in ordered:
        begins.setdefault(session_of[info.sha256], info.begin)
    if held_out_from is not None:
        kept = {name for name, begin in begins.items() if begin >= held_out_from}
    else:
        kept = _draw_sessions(ordered, session_of, share, seed, added)
    notes = []
    for kind in KINDS if held_out_from is None else ():
        if last := _last_takes(ordered, kind, added, session_of, kept, share):
            session_of |= last
            kept |= set(last.values())
            notes.append(f"all with {kind} is of one sitting: its last {len(last)} takes are held out, and flatter")
    same_sitting = bool(notes)
    for kind in KINDS:
        here = {session_of[one.sha256] for one in ordered if _is_of(one, kind, added)}
        if here and not here & kept:
            notes.append(f"nothing with {kind} is held out: its recordings are of {len(here)} session(s)")
        elif here and here <= kept:
            notes.append(f"all recordings with {kind} are held out")
    return OwnSplit(
        tuple(one for one in ordered if session_of[one.sha256] not in kept),
        tuple(one for one in ordered if session_of[one.sha256] in kept),
        session_of,
        tuple(notes),
        same_sitting,
    )


def _last_takes(
    infos: Sequence[RecordingInfo],
    kind: str,
    added: Sequence[str],
    session_of: dict[str, str],
    kept: set[str],
    share: float,
) -> dict[str, str]:
    """Return a new session's name for the last takes of a kind that was recorded in one sitting, else nothing.

    Only takes: several recordings around one event are the same sound.
    """
    mine = [one for one in infos if _is_of(one, kind, added)]
    sessions = {session_of[one.sha256] for one in mine}
    if len(sessions) != 1 or sessions & kept or len(mine) < FEWEST_TAKES or any(one.origin != "take" for one in mine):
        return {}
    first = len(mine) - max(1, round(share * len(mine)))
    while first > 0 and _are_of_one_moment(mine[first - 1], mine[first]):
        first -= 1
    return {one.sha256: f"{session_of[one.sha256]}{LAST_TAKES}" for one in mine[first:]} if first else {}


def _are_of_one_moment(one: RecordingInfo, next_one: RecordingInfo) -> bool:
    """Tell whether two recordings share more than half of the shorter one's time, as those of two microphones do."""
    end = min(one.begin + timedelta(seconds=one.duration_s), next_one.begin + timedelta(seconds=next_one.duration_s))
    return (end - next_one.begin).total_seconds() > min(one.duration_s, next_one.duration_s) / 2


def _draw_sessions(
    infos: Sequence[RecordingInfo], session_of: dict[str, str], share: float, seed: int, added: Sequence[str]
) -> set[str]:
    """Draw sessions, kind by kind, as long as that comes nearer to the share; never the last one of any kind.

    They come in an order that is each one's own, so that new sessions move few of the others.
    """
    kept: set[str] = set()
    kinds = (*added, *KINDS)
    sessions = {kind: [session_of[one.sha256] for one in infos if _is_of(one, kind, added)] for kind in kinds}
    for kind in kinds:
        of_session = Counter(sessions[kind])
        wanted, here = share * len(sessions[kind]), sum(of_session[name] for name in of_session if name in kept)
        for name in sorted(of_session, key=lambda one: hashlib.sha256(f"{seed} {one}".encode()).digest()):
            is_last = any(name in there and set(there) <= kept | {name} for there in sessions.values())
            if name in kept or is_last:
                continue
            if here == 0 or abs(here + of_session[name] - wanted) < abs(here - wanted):
                kept.add(name)
                here += of_session[name]
    return kept


def _is_of(info: RecordingInfo, kind: str, added: Sequence[str]) -> bool:
    """Tell whether a recording is of a kind; with `no siren` are those with none of the added labels either."""
    return not any(holds(info, one) for one in ("siren", *added)) if kind == NO_SIREN else holds(info, kind)


def holds(info: RecordingInfo, label: str) -> bool:
    """Tell whether somebody said that a label is to be heard in a recording."""
    return info.labelling is not None and label in info.labelling.labels


def usable(infos: Sequence[RecordingInfo]) -> tuple[list[RecordingInfo], dict[str, int]]:
    """Return the recordings that say whether a siren sounds, and how many say something else, by reason."""
    kept: list[RecordingInfo] = []
    left: dict[str, int] = defaultdict(int)
    for info in infos:
        if info.labelling is None:
            left["not labelled"] += 1
        elif info.labelling.absent and "siren" not in info.labelling.absent and not info.labelling.labels:
            left["not said whether a siren sounds"] += 1
        else:
            kept.append(info)
    return kept, dict(left)


def lay_out(infos: Sequence[RecordingInfo], audio: AudioStore, folder: Path) -> None:
    """Put the audio of recordings into `folder` by content hash, for whoever reads manifests.

    Raises:
        OperatorError: audio is missing or damaged, or the folder cannot be written.
    """
    try:
        make_folder(folder)
        for info in infos:
            path = folder / f"{info.sha256}.flac"
            if path.is_file() and path.stat().st_size == info.size_bytes:
                continue
            data = audio.read(info.sha256)
            if hashlib.sha256(data).hexdigest() != info.sha256:
                raise OperatorError(f"recording {info.sha256[:12]} is damaged; restore it from a backup")
            write_file(path, data)
    except OSError as error:
        raise OperatorError(f"{folder}: cannot be written ({error.strerror}); free some space") from error


def write_manifest(path: Path, infos: Sequence[RecordingInfo], session_of: dict[str, str], folder: Path) -> None:
    """Write recordings as a manifest that every command of the trainer reads; a session is a group.

    Raises:
        OperatorError: it cannot be written.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, COLUMNS)
            writer.writeheader()
            for info in infos:
                labels = info.labelling.labels if info.labelling else ()
                absent = info.labelling.absent if info.labelling else ()
                row = {
                    "path": str((folder / f"{info.sha256}.flac").absolute()),
                    "label": "siren" if "siren" in labels else " + ".join(labels) or BACKGROUND,
                    "labels": " ".join(labels),
                    "is_siren": int("siren" in labels),
                    "kind": "clip",
                    "source": f"{info.node}/{info.source}",
                    "fsid": session_of[info.sha256],
                    "licence": OWN_LICENCE,
                    "dur": info.duration_s,
                    "note": " ".join((ONLY_WITHOUT, *absent)) if absent else "",
                }
                writer.writerow(row)
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}; free some space") from error
