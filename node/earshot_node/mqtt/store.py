"""What a node remembers over restarts: waiting events, settings, what it announced, counters."""

import json
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from earshot_node.mqtt.boot_clock import Moment
from earshot_node.mqtt.database import Database, StoreError
from earshot_node.mqtt.settings import LabelSettings

_log = logging.getLogger(__name__)

DROPPED_EVENTS: Final = "dropped_events"
REFUSED_EVENTS: Final = "refused_events"


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event that waits for the broker's acknowledgement.

    Attributes:
        row_id: grows in the order of events.
        payload: an encoded `EventMessage`.
        moment: when it was decided.
        refusals: how often the broker refused it.
    """

    row_id: int
    payload: bytes
    moment: Moment
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Announcement:
    """A discovery topic that this node filled.

    Attributes:
        fingerprint: tells whether the configuration behind the announcement changed.
        components: component key to Home Assistant platform, everything that may live there.
        deleted: a person deleted the device in Home Assistant.
    """

    fingerprint: str
    components: Mapping[str, str]
    deleted: bool = False


class StateStore:
    """The state file, usable from any thread.

    Every method is one transaction and raises `StoreError` when the disk refuses it, with nothing changed.

    Raises:
        OperatorError: the file cannot be opened or is in use.
    """

    def __init__(self, path: Path) -> None:
        self._database = Database(path)
        rows = self._database.run(lambda connection: connection.execute("SELECT name, value FROM counters").fetchall())
        self._counters: dict[str, float] = {name: float(value) for name, value in rows}

    def close(self) -> None:
        """Close the file; idempotent."""
        self._database.close()

    def add_event(self, event_id: str, phase: str, payload: bytes, moment: Moment, limit: int) -> int:
        """Append an event, durable on return; the oldest go while there are more than `limit`.

        Returns:
            How many were dropped.
        """

        def append(connection: Connection) -> int:
            connection.execute(
                "INSERT INTO outbox (event_id, phase, payload, boot, at_s) VALUES (?, ?, ?, ?, ?)",
                (event_id, phase, payload, moment.boot, moment.at_s),
            )
            (waiting,) = connection.execute("SELECT count(*) FROM outbox").fetchone()
            excess = max(0, waiting - limit)
            if excess:
                connection.execute(
                    "DELETE FROM outbox WHERE row_id IN (SELECT row_id FROM outbox ORDER BY row_id LIMIT ?)", (excess,)
                )
                self._add(connection, DROPPED_EVENTS, excess)
            return int(excess)

        return self._database.run(append)

    def events_after(self, row_id: int, limit: int) -> list[OutboxRow]:
        """Return up to `limit` waiting events behind `row_id`, in order."""
        rows = self._database.run(
            lambda connection: connection.execute(
                "SELECT row_id, payload, boot, at_s, refusals FROM outbox WHERE row_id > ? ORDER BY row_id LIMIT ?",
                (row_id, limit),
            ).fetchall()
        )
        return [
            OutboxRow(number, payload, Moment(boot, at_s), refusals) for number, payload, boot, at_s, refusals in rows
        ]

    def delete_events(self, row_ids: Iterable[int]) -> int:
        """Delete acknowledged events; a power cut may undo it, and they are then sent once more.

        Returns:
            How many there were.
        """
        numbers = [(number,) for number in row_ids]

        def delete(connection: Connection) -> int:
            return connection.executemany("DELETE FROM outbox WHERE row_id = ?", numbers).rowcount

        return self._database.run(delete, durable=False)

    def refuse_event(self, row_id: int, most: int) -> bool:
        """Count a refusal of an event by the broker; at the `most`th it is deleted.

        Returns:
            Whether it was deleted.
        """

        def refuse(connection: Connection) -> bool:
            connection.execute("UPDATE outbox SET refusals = refusals + 1 WHERE row_id = ?", (row_id,))
            gone = connection.execute("DELETE FROM outbox WHERE row_id = ? AND refusals >= ?", (row_id, most)).rowcount
            self._add(connection, REFUSED_EVENTS, gone)
            return gone > 0

        return self._database.run(refuse, durable=False)

    def queued(self) -> int:
        """Return how many events wait."""
        return int(self._database.run(lambda c: c.execute("SELECT count(*) FROM outbox").fetchone()[0]))

    def settings(self) -> dict[tuple[str, str], LabelSettings]:
        """Return what was changed at run time, by source and label."""
        rows = self._database.run(
            lambda c: c.execute("SELECT source, label, enabled, sensitivity FROM settings").fetchall()
        )
        return {(source, label): LabelSettings(bool(enabled), value) for source, label, enabled, value in rows}

    def save_settings(self, source: str, label: str, settings: LabelSettings) -> None:
        """Keep the settings of one source and label."""
        self._database.run(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO settings VALUES (?, ?, ?, ?)",
                (source, label, settings.enabled, settings.sensitivity),
            )
        )

    def announcements(self) -> dict[str, Announcement]:
        """Return every discovery topic that may still be filled, by topic."""
        rows = self._database.run(lambda c: c.execute("SELECT * FROM announced ORDER BY topic").fetchall())
        return {
            topic: Announcement(fingerprint, json.loads(components), bool(deleted))
            for topic, fingerprint, components, deleted in rows
        }

    def save_announcement(self, topic: str, announcement: Announcement) -> None:
        """Keep what is announced on a discovery topic."""
        self._database.run(
            lambda connection: connection.execute(
                "INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?)",
                (topic, announcement.fingerprint, json.dumps(dict(announcement.components)), announcement.deleted),
            )
        )

    def forget_announcement(self, topic: str) -> None:
        """The discovery topic is empty again."""
        self._database.run(lambda connection: connection.execute("DELETE FROM announced WHERE topic = ?", (topic,)))

    def retained(self) -> set[str]:
        """Return every other topic with a retained message of this node."""
        return {topic for (topic,) in self._database.run(lambda c: c.execute("SELECT topic FROM retained").fetchall())}

    def add_retained(self, topics: Iterable[str]) -> None:
        """Remember topics before a retained message goes there."""
        rows = [(topic,) for topic in topics]
        self._database.run(lambda connection: connection.executemany("INSERT OR IGNORE INTO retained VALUES (?)", rows))

    def forget_retained(self, topics: Iterable[str]) -> None:
        """The topics are empty again."""
        rows = [(topic,) for topic in topics]
        self._database.run(lambda connection: connection.executemany("DELETE FROM retained WHERE topic = ?", rows))

    def count(self, name: str, amount: float) -> None:
        """Add to a counter that lasts, such as `listened_s/hallway`; never fails.

        A power cut may undo the last steps; when the disk refuses them, the next step writes them too.
        """
        try:
            self._database.run(lambda connection: self._add(connection, name, amount), durable=False)
        except StoreError as error:
            _log.debug("%s", error)

    def counter(self, name: str) -> float:
        """Return a counter, 0 if nothing was ever counted."""
        return self._counters.get(name, 0.0)

    def _add(self, connection: Connection, name: str, amount: float) -> None:
        self._counters[name] = self._counters.get(name, 0.0) + amount
        connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, self._counters[name]))
