"""The SQLite file of a node: a SIGKILL or power cut does not damage it, and a damaged one is replaced."""

import logging
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Final, TypeVar

from earshot_node.errors import OperatorError, RetryError

_log = logging.getLogger(__name__)
T = TypeVar("T")

SCHEMA_VERSION: Final = 2
# NULL: never commanded, so that the configuration holds.
_SETTINGS: Final = """
CREATE TABLE settings (
    source TEXT NOT NULL, label TEXT NOT NULL, enabled INTEGER, sensitivity REAL, PRIMARY KEY (source, label)
);
"""
_SCHEMA: Final = f"""{_SETTINGS}
CREATE TABLE outbox (
    row_id INTEGER PRIMARY KEY AUTOINCREMENT, event_id TEXT NOT NULL, phase TEXT NOT NULL, payload BLOB NOT NULL,
    boot TEXT NOT NULL, at_s REAL NOT NULL, refusals INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE announced (
    topic TEXT PRIMARY KEY, fingerprint TEXT NOT NULL, components TEXT NOT NULL, deleted INTEGER NOT NULL
);
CREATE TABLE retained (topic TEXT PRIMARY KEY);
CREATE TABLE counters (name TEXT PRIMARY KEY, value REAL NOT NULL);
"""
# Newer than SCHEMA_VERSION, which older releases, that do not know it, can then still open.
_ADDED: Final = (
    "CREATE TABLE IF NOT EXISTS departed (topic TEXT PRIMARY KEY, components TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS last_event (source TEXT, label TEXT, payload BLOB, PRIMARY KEY (source, label))",
)
_FROM_1_TO_2: Final = (
    "ALTER TABLE settings RENAME TO settings_1;",
    _SETTINGS,
    "INSERT INTO settings SELECT source, label, enabled, sensitivity FROM settings_1;",
    "DROP TABLE settings_1;",
)


class StoreError(RetryError):
    """The state file cannot be read or written now (disk full, file system read-only); nothing was changed."""


class Database:
    """One connection, used by one thread at a time.

    A damaged file is moved aside (`state.sqlite3.damaged-<time>`) and a new one begun, at opening and at any later use.

    Args:
        path: the file; its folder is made.
        refill: writes what is still known into a file begun later than at opening, in the transaction of its first use.

    Raises:
        OperatorError: the folder cannot be written, or another process has the file open.
    """

    def __init__(self, path: Path, refill: Callable[[sqlite3.Connection], None] = lambda _connection: None) -> None:
        self.path = path
        self._refill = refill
        self._lock = RLock()
        self._without_file = False
        self._empty = False
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open_or_replace()
        except sqlite3.OperationalError as error:
            raise _opening_error(path, error) from error
        except OSError as error:
            raise OperatorError(
                f"state folder {path.parent}: {error.strerror}; set node.state_dir to a folder you own"
            ) from error

    def run(self, action: Callable[[sqlite3.Connection], T], *, durable: bool = True) -> T:
        """Run `action` in one transaction and return its result.

        Args:
            action: executes statements; runs again on an empty file if the old one turns out to be damaged.
            durable: False for what may be lost in a power cut without harm; saves the wait for the disk.

        Raises:
            StoreError: nothing was changed.
        """
        with self._lock:
            try:
                try:
                    if not self._without_file:
                        return self._transaction(action, durable)
                except sqlite3.DatabaseError as error:
                    if not _is_damage(error):
                        raise
                    self._connection.close()
                    self._without_file = True
                    self._move_aside(error)
                self._connection = self._open_or_replace()
                self._without_file, self._empty = False, True
                return self._transaction(action, durable)
            except (sqlite3.DatabaseError, OSError) as error:
                raise self._refusal(error) from error

    def close(self) -> None:
        """Close the file; idempotent."""
        with self._lock:
            self._connection.close()
            self._without_file = False

    def _transaction(self, action: Callable[[sqlite3.Connection], T], durable: bool) -> T:
        connection = self._connection
        if not durable:
            connection.execute("PRAGMA synchronous=NORMAL")
        try:
            with connection:
                connection.execute("BEGIN IMMEDIATE")
                if self._empty:
                    self._refill(connection)
                result = action(connection)
            self._empty = False
            return result
        finally:
            if not durable:
                connection.execute("PRAGMA synchronous=FULL")

    def _open_or_replace(self) -> sqlite3.Connection:
        try:
            return self._open()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._move_aside(error)
            return self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self.path, timeout=1.0, isolation_level=None, check_same_thread=False)
        try:
            # Exclusive: two nodes on one state folder would send each other's events.
            connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            _check(connection)
            self._prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version < SCHEMA_VERSION:
            steps = _SCHEMA if version == 0 else "".join(_FROM_1_TO_2)
            connection.executescript(f"BEGIN IMMEDIATE; {steps} PRAGMA user_version={SCHEMA_VERSION}; COMMIT;")
        elif version > SCHEMA_VERSION:
            raise OperatorError(f"state file {self.path} is of a newer Earshot; install that or set node.state_dir")
        for step in _ADDED:
            connection.execute(step)

    def _refusal(self, error: Exception) -> StoreError:
        return StoreError(f"state file {self.path}: {error}; is the disk full or read-only?")

    def _move_aside(self, error: sqlite3.DatabaseError) -> None:
        stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        aside = self.path.with_name(f"{self.path.name}.damaged-{stamp}")
        for suffix in ("-wal", "-shm"):
            part = self.path.with_name(self.path.name + suffix)
            if part.exists():
                part.rename(aside.with_name(aside.name + suffix))
        self.path.rename(aside)
        _log.error(
            "State file %s is damaged (%s); moved to %s and a new one begun: events that waited in it are lost",
            self.path,
            error,
            aside.name,
        )


def _check(connection: sqlite3.Connection) -> None:
    (finding,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if finding != "ok":
        raise sqlite3.DatabaseError(f"malformed: {finding}")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:
        return "malformed" in str(error)
    return code & 0xFF in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _opening_error(path: Path, error: sqlite3.OperationalError) -> OperatorError:
    if "locked" in str(error):
        return OperatorError(
            f"state file {path} is in use by another process; stop the other node or set node.state_dir"
        )
    return OperatorError(f"state file {path}: {error}; set node.state_dir to a folder you own")
