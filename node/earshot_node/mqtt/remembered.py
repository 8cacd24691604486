"""What a running node still knows when its state file is damaged, so that the next file does not begin empty."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from sqlite3 import Connection
from typing import Self

from earshot_node.mqtt.settings import CommandedSettings


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


@dataclass(slots=True)
class Remembered:
    """The content of a state file but for its events.

    Attributes:
        settings: commanded at run time, by source and label.
        announced: by discovery topic.
        departed: component key to platform by discovery topic: removed, perhaps while Home Assistant was down.
        last_events: the encoded message of the last event by source and label.
        retained: every other topic with a retained message of this node.
        counters: by name.
        last_row_id: of all events there ever were; numbers are not used again, not even in another file.
    """

    settings: dict[tuple[str, str], CommandedSettings] = field(default_factory=dict)
    announced: dict[str, Announcement] = field(default_factory=dict)
    departed: dict[str, Mapping[str, str]] = field(default_factory=dict)
    last_events: dict[tuple[str, str], bytes] = field(default_factory=dict)
    retained: set[str] = field(default_factory=set)
    counters: dict[str, float] = field(default_factory=dict)
    last_row_id: int = 0

    @classmethod
    def read(cls, connection: Connection) -> Self:
        """Return what the file holds."""
        settings = connection.execute("SELECT source, label, enabled, sensitivity FROM settings")
        announced = connection.execute("SELECT topic, fingerprint, components, deleted FROM announced ORDER BY topic")
        departed = connection.execute("SELECT topic, components FROM departed ORDER BY topic")
        last_events = connection.execute("SELECT source, label, payload FROM last_event")
        (last_row_id,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
        return cls(
            {(source, label): _commanded(*values) for source, label, *values in settings},
            {topic: Announcement(text, json.loads(parts), bool(gone)) for topic, text, parts, gone in announced},
            {topic: json.loads(parts) for topic, parts in departed},
            {(source, label): payload for source, label, payload in last_events},
            {topic for (topic,) in connection.execute("SELECT topic FROM retained")},
            {name: float(value) for name, value in connection.execute("SELECT name, value FROM counters")},
            last_row_id or 0,
        )

    def write(self, connection: Connection) -> None:
        """Write everything into a new file."""
        for (source, label), settings in list(self.settings.items()):
            write_settings(connection, source, label, settings)
        for topic, announcement in list(self.announced.items()):
            write_announcement(connection, topic, announcement)
        for topic, components in list(self.departed.items()):
            write_departed(connection, topic, components)
        for (source, label), payload in list(self.last_events.items()):
            write_last_event(connection, source, label, payload)
        connection.executemany("INSERT OR IGNORE INTO retained VALUES (?)", [(topic,) for topic in list(self.retained)])
        connection.executemany("INSERT OR REPLACE INTO counters VALUES (?, ?)", list(self.counters.items()))
        connection.execute("DELETE FROM sqlite_sequence WHERE name = 'outbox'")
        connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('outbox', ?)", (self.last_row_id,))


def _commanded(enabled: int | None, sensitivity: float | None) -> CommandedSettings:
    return CommandedSettings(None if enabled is None else bool(enabled), sensitivity)


def write_settings(connection: Connection, source: str, label: str, settings: CommandedSettings) -> None:
    """Write the settings of one source and label."""
    connection.execute(
        "INSERT OR REPLACE INTO settings VALUES (?, ?, ?, ?)", (source, label, settings.enabled, settings.sensitivity)
    )


def write_announcement(connection: Connection, topic: str, announcement: Announcement) -> None:
    """Write what is announced on one discovery topic."""
    connection.execute(
        "INSERT OR REPLACE INTO announced VALUES (?, ?, ?, ?)",
        (topic, announcement.fingerprint, json.dumps(dict(announcement.components)), announcement.deleted),
    )


def write_departed(connection: Connection, topic: str, components: Mapping[str, str]) -> None:
    """Write what is gone from one discovery topic; nothing is kept of a topic with no such components."""
    if components:
        connection.execute("INSERT OR REPLACE INTO departed VALUES (?, ?)", (topic, json.dumps(dict(components))))
    else:
        connection.execute("DELETE FROM departed WHERE topic = ?", (topic,))


def write_last_event(connection: Connection, source: str, label: str, payload: bytes) -> None:
    """Write the encoded last event of one source and label."""
    connection.execute("INSERT OR REPLACE INTO last_event VALUES (?, ?, ?)", (source, label, payload))
