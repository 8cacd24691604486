"""Damage of a state file while a node runs."""

import sqlite3

from earshot_node.mqtt.store import StateStore


def damage(store: StateStore) -> None:
    """Have the next action on the file find it damaged; returns after the store dealt with that."""
    found: list[bool] = []

    def find(_connection: sqlite3.Connection) -> None:
        if not found:
            found.append(True)
            error = sqlite3.DatabaseError("database disk image is malformed")
            error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT  # type: ignore[misc]
            raise error

    store._database.run(find)
