"""What a node remembers over restarts: waiting events, settings, what it announced, counters."""

import contextlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from sqlite3 import Connection
from typing import Final

from earshot_node.contract.messages import EventMessage
from earshot_node.errors import MessageError
from earshot_node.mqtt.boot_clock import Moment
from earshot_node.mqtt.database import SCHEMA_VERSION, Database, StoreError
from earshot_node.mqtt.remembered import (
    Announcement,
    Remembered,
    write_announcement,
    write_departed,
    write_last_event,
    write_settings,
)
from earshot_node.mqtt.settings import CommandedSettings, Key

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


class StateStore:
    """The state file, usable from any thread.

    Every method is one transaction and raises `StoreError` when the disk refuses it, with nothing changed.
    When the file turns out to be damaged, waiting events are lost; all else is written into the new one.

    Attributes:
        waiting: how many events wait.

    Raises:
        OperatorError: the file cannot be opened or is in use.
    """

    def __init__(self, path: Path) -> None:
        self._remembered = Remembered()
        self._database = Database(path, self._refill)
        self._remembered = self._database.run(Remembered.read)
        self.waiting = self.queued()

    def close(self) -> None:
        """Close the file; idempotent."""
        self._database.close()

    def add_event(self, event_id: str, phase: str, payload: bytes, moment: Moment, limit: int) -> int:
        """Append an event, durable on return; the oldest go while there are more than `limit`.

        Returns:
            How many were dropped.
        """

        def append(connection: Connection) -> tuple[int, int]:
            added = connection.execute(
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
            return int(excess), added.lastrowid or 0

        dropped, self._remembered.last_row_id = self._database.run(append)
        self.waiting += 1 - dropped
        return dropped

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

        deleted = self._database.run(delete, durable=False)
        self.waiting -= deleted
        return deleted

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

        given_up = self._database.run(refuse, durable=False)
        self.waiting -= given_up
        return given_up

    def queued(self) -> int:
        """Return how many events wait."""
        return int(self._database.run(lambda c: c.execute("SELECT count(*) FROM outbox").fetchone()[0]))

    def settings(self) -> dict[Key, CommandedSettings]:
        """Return what was commanded at run time, by source and label."""
        return dict(self._remembered.settings)

    def save_settings(self, settings: Mapping[Key, CommandedSettings]) -> None:
        """Keep what was commanded, by source and label; also without any it writes, which tells if the disk works."""
        kept = dict(settings)

        def save(connection: Connection) -> None:
            connection.execute(f"PRAGMA user_version={SCHEMA_VERSION}")
            for (source, label), commanded in kept.items():
                write_settings(connection, source, label, commanded)

        self._database.run(save)
        self._remembered.settings.update(kept)

    def last_events(self) -> dict[Key, EventMessage]:
        """Return the last event of each source and label that had one."""
        found: dict[Key, EventMessage] = {}
        for key, payload in self._remembered.last_events.items():
            with contextlib.suppress(MessageError):  # of another release
                found[key] = EventMessage.decode(payload)
        return found

    def save_last_event(self, event: EventMessage) -> None:
        """Keep the last event of its source and label; never fails, and a power cut may undo it."""
        key, payload = (event.source, event.event_type), event.encode()
        self._remembered.last_events[key] = payload
        try:
            self._database.run(lambda connection: write_last_event(connection, *key, payload), durable=False)
        except StoreError as error:
            _log.debug("%s", error)

    def announcements(self) -> dict[str, Announcement]:
        """Return every discovery topic that may still be filled, by topic."""
        return dict(sorted(self._remembered.announced.items()))

    def save_announcement(self, topic: str, announcement: Announcement) -> None:
        """Keep what is announced on a discovery topic."""
        self._database.run(lambda connection: write_announcement(connection, topic, announcement))
        self._remembered.announced[topic] = announcement

    def forget_announcement(self, topic: str) -> None:
        """The discovery topic is empty again."""
        self._database.run(lambda connection: connection.execute("DELETE FROM announced WHERE topic = ?", (topic,)))
        self._remembered.announced.pop(topic, None)

    def departed(self) -> dict[str, Mapping[str, str]]:
        """Return what was removed from Home Assistant, perhaps while it was down: platforms by key, by topic."""
        return dict(sorted(self._remembered.departed.items()))

    def save_departed(self, topic: str, components: Mapping[str, str]) -> None:
        """Keep what was removed from a discovery topic; forget it if that is nothing."""
        self._database.run(lambda connection: write_departed(connection, topic, components))
        if components:
            self._remembered.departed[topic] = dict(components)
        else:
            self._remembered.departed.pop(topic, None)

    def retained(self) -> set[str]:
        """Return every other topic with a retained message of this node."""
        return set(self._remembered.retained)

    def add_retained(self, topics: Iterable[str]) -> None:
        """Remember topics before a retained message goes there."""
        names = list(topics)
        rows = [(topic,) for topic in names]
        self._database.run(lambda connection: connection.executemany("INSERT OR IGNORE INTO retained VALUES (?)", rows))
        self._remembered.retained.update(names)

    def forget_retained(self, topics: Iterable[str]) -> None:
        """The topics are empty again."""
        names = list(topics)
        rows = [(topic,) for topic in names]
        self._database.run(lambda connection: connection.executemany("DELETE FROM retained WHERE topic = ?", rows))
        self._remembered.retained.difference_update(names)

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
        return self._remembered.counters.get(name, 0.0)

    def _refill(self, connection: Connection) -> None:
        self._remembered.write(connection)
        self.waiting = int(connection.execute("SELECT count(*) FROM outbox").fetchone()[0])

    def _add(self, connection: Connection, name: str, amount: float) -> None:
        value = self._remembered.counters[name] = self.counter(name) + amount
        connection.execute("INSERT OR REPLACE INTO counters VALUES (?, ?)", (name, value))
