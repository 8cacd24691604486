"""Recordings in the catalogue: one row for each content, whatever it was collected from."""

from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Engine, func, insert, select, update

from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import recordings, stamp, transfers

Outcome = Literal["stored", "duplicate", "labelled"]


class Library:
    """What was collected. Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def keep(self, info: RecordingInfo, node: str, came_bytes: int, now: datetime) -> Outcome:
        """Make a recording visible whose audio is stored, or learn what is new about one that is known.

        A later labelling replaces an earlier one; being unlabelled replaces nothing.

        Args:
            info: as the node told it.
            node: from which node it came this time.
            came_bytes: how much of the audio came over the network for it.
            now: time of the transfer.
        """
        with transaction(self._engine) as connection:
            outcome = _enter(connection, info, now)
            values = {"node": node, "recording_id": info.id, "sha256": info.sha256, "outcome": outcome}
            connection.execute(insert(transfers).values(**values, bytes=came_bytes, time=stamp(now)))
        return outcome

    def add(self, info: RecordingInfo, now: datetime) -> Outcome:
        """Do the same with one that came from no node: it was imported."""
        with transaction(self._engine) as connection:
            return _enter(connection, info, now)

    def get(self, sha256: str) -> RecordingInfo | None:
        """Return one by its content; None if it is not known."""
        with transaction(self._engine) as connection:
            return known_recording(connection, sha256)

    def has(self, sha256: str) -> bool:
        """Whether a recording of this content is visible."""
        with transaction(self._engine) as connection:
            found = connection.execute(select(recordings.c.sha256).where(recordings.c.sha256 == sha256))
            return found.first() is not None

    def all(self) -> list[RecordingInfo]:
        """Return every recording in order of time."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(recordings.c.info).order_by(recordings.c.begin, recordings.c.sha256))
            return [RecordingInfo.decode(text.encode()) for text in rows.scalars()]

    def counts(self) -> dict[str, int]:
        """Return how many there are of each labelling, as people say it; '' for unlabelled ones."""
        counted = select(recordings.c.title, func.count()).group_by(recordings.c.title).order_by(recordings.c.title)
        with transaction(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}


def known_recording(connection: Connection, sha256: str) -> RecordingInfo | None:
    """Return a recording within a transaction; None if it is not known."""
    text = connection.execute(select(recordings.c.info).where(recordings.c.sha256 == sha256)).scalar()
    return None if text is None else RecordingInfo.decode(text.encode())


def replace_recording(connection: Connection, info: RecordingInfo) -> None:
    """Put what is known of a recording in place of what was, within a transaction."""
    connection.execute(update(recordings).where(recordings.c.sha256 == info.sha256).values(_row(info)))


def _enter(connection: Connection, info: RecordingInfo, now: datetime) -> Outcome:
    known = known_recording(connection, info.sha256)
    if known is not None:
        return _merge(connection, known, info)
    connection.execute(insert(recordings).values(**_row(info), collected=stamp(now)))
    return "stored"


def _merge(connection: Connection, known: RecordingInfo, told: RecordingInfo) -> Outcome:
    if told.labelling is None or told.labelling == known.labelling:
        return "duplicate"
    if known.labelling is not None and told.labelling.time <= known.labelling.time:
        return "duplicate"
    same = (told.node, told.id) == (known.node, known.id)
    change = {"labelling": told.labelling, "revision": told.revision if same else known.revision}
    replace_recording(connection, known.model_copy(update=change))
    return "labelled"


def _row(info: RecordingInfo) -> dict[str, object]:
    labelling = info.labelling
    return {
        "sha256": info.sha256,
        "node": info.node,
        "source": info.source,
        "recording_id": info.id,
        "revision": info.revision,
        "origin": info.origin,
        "begin": stamp(info.begin),
        "duration_s": info.duration_s,
        "rate_hz": info.rate_hz,
        "level_dbfs": info.level_dbfs,
        "size_bytes": info.size_bytes,
        "is_labelled": labelling is not None,
        "title": labelling.title if labelling else "",
        "labelled_by": labelling.by if labelling else None,
        "labelled_user": labelling.user if labelling else None,
        "labelled": stamp(labelling.time) if labelling else None,
        "info": info.encode().decode(),
    }
