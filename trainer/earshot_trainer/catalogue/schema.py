"""The catalogue's tables. Times are text, ISO 8601 in UTC with milliseconds: they sort, and no database bends them."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA: Final = 1
"""Grows with every change of a table; see `opening`."""

metadata = MetaData()
_TIME = String(24)
_SHA256 = String(64)
_SLUG = String(40)

schema_version = Table("schema_version", metadata, Column("version", Integer, primary_key=True))

nodes = Table(
    "nodes",
    metadata,
    Column("id", _SLUG, primary_key=True),
    Column("token", String(200), nullable=False),  # '' once removed
    Column("address", String(300), nullable=False),  # of its HTTP, '' if unknown
    Column("version", String(40), nullable=False),
    Column("joined", _TIME, nullable=False),
    Column("removed", _TIME),
    Column("collected", _TIME),  # when a collection last reached it
)

invites = Table(
    "invites",
    metadata,
    Column("secret_sha256", _SHA256, primary_key=True),
    Column("node", _SLUG, nullable=False),  # '' for any new node
    Column("created", _TIME, nullable=False),
    Column("expires", _TIME, nullable=False),
    Column("used", _TIME),
    Column("used_by", _SLUG),
    Column("revoked", _TIME),
)

recordings = Table(
    "recordings",
    metadata,
    Column("sha256", _SHA256, primary_key=True),
    Column("node", _SLUG, nullable=False),
    Column("source", _SLUG, nullable=False),
    Column("recording_id", String(40), nullable=False),
    Column("revision", Integer, nullable=False),
    Column("origin", String(20), nullable=False),
    Column("begin", _TIME, nullable=False),
    Column("duration_s", Float, nullable=False),
    Column("rate_hz", Integer, nullable=False),
    Column("level_dbfs", Float, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("is_labelled", Boolean, nullable=False),
    Column("title", String(400), nullable=False),  # its labels as people say them, '' unlabelled
    Column("labelled_by", String(20)),
    Column("labelled_user", String(80)),
    Column("labelled", _TIME),
    Column("info", Text, nullable=False),  # the whole `RecordingInfo`
    Column("collected", _TIME, nullable=False),
)
Index("recordings_by_title", recordings.c.title)

transfers = Table(
    "transfers",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("node", _SLUG, ForeignKey("nodes.id"), nullable=False),
    Column("recording_id", String(40), nullable=False),
    Column("sha256", _SHA256, nullable=False),
    Column("outcome", String(20), nullable=False),  # stored, duplicate, labelled
    Column("bytes", Integer, nullable=False),  # that came over the network
    Column("time", _TIME, nullable=False),
)


def stamp(time: datetime) -> str:
    """Return a time as the tables hold it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
