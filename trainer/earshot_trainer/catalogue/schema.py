"""The catalogue's tables. Times are text, ISO 8601 in UTC with milliseconds: they sort, and no database bends them."""

from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Boolean, Column, Float, ForeignKey, Index, Integer, MetaData, String, Table, Text

SCHEMA: Final = 1
"""Grows with every change of a table; a new table needs none, `opening` makes it."""

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

node_addresses = Table(
    "node_addresses",
    metadata,
    Column("node", _SLUG, primary_key=True),
    Column("url", String(300), nullable=False),
    Column("certificate", String(64), nullable=False),  # sha256 of what its HTTPS has to show, '' unknown
    Column("is_fixed", Boolean, nullable=False),  # a person has said the url
    Column("told", _TIME, nullable=False),
)

releases = Table(
    "releases",
    metadata,
    Column("sha256", _SHA256, primary_key=True),  # of the bundle, models/<sha256>.earshot in the home
    Column("version", String(20), nullable=False, unique=True),
    Column("name", _SLUG, nullable=False),
    Column("size_bytes", Integer, nullable=False),
    Column("labels", String(400), nullable=False),
    Column("parent", String(20), nullable=False),  # '' if unknown
    Column("summary", String(255), nullable=False),  # what is new, for people
    Column("made_by", String(80), nullable=False),
    Column("gate", String(20), nullable=False),  # passed, failed, synthetic; '' if none was asked
    Column("gate_reason", Text, nullable=False),
    Column("is_forced", Boolean, nullable=False),  # released against the gate
    Column("registered", _TIME, nullable=False),
)

offers = Table(
    "offers",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("node", _SLUG, primary_key=True),
    Column("sha256", _SHA256, ForeignKey("releases.sha256"), nullable=False),
    Column("mode", String(10), nullable=False),
    Column("is_canary", Boolean, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("is_forced", Boolean, nullable=False),
    Column("offered", _TIME, nullable=False),
    Column("outcome", String(20), nullable=False),  # '' until the node has told one
    Column("reason", Text, nullable=False),
    Column("told", _TIME),
    Column("withdrawn", _TIME),
    Column("withdrawn_why", Text, nullable=False),
)

canary_watches = Table(  # ended well, of the release that the node has now; an offer of it anew forgets them
    "canary_watches",
    metadata,
    Column("node", _SLUG, primary_key=True),
    Column("sha256", _SHA256, ForeignKey("releases.sha256"), primary_key=True),
    Column("watched_s", Float, nullable=False),
    Column("ended", _TIME, nullable=False),
)

disagreements = Table(
    "disagreements",
    metadata,
    Column("node", _SLUG, primary_key=True),
    Column("event", String(64), primary_key=True),
    Column("heard_by", String(10), nullable=False),  # active, candidate
    Column("source", _SLUG, nullable=False),
    Column("label", _SLUG, nullable=False),
    Column("onset", _TIME, nullable=False),
    Column("offset", _TIME, nullable=False),
    Column("peak", Float, nullable=False),
    Column("active", String(20), nullable=False),
    Column("candidate", String(20), nullable=False),
    Column("candidate_sha256", _SHA256, nullable=False),
    Column("seen", _TIME, nullable=False),
)

alarm_hours = Table(
    "alarm_hours",
    metadata,
    Column("node", _SLUG, primary_key=True),
    Column("hour", _TIME, primary_key=True),
    Column("alarms", Integer, nullable=False),
    Column("listened_s", Float, nullable=False),
)

labellings = Table(  # what somebody said at the trainer, so that it can be taken back
    "labellings",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("sha256", _SHA256, nullable=False),
    Column("before", Text, nullable=False),  # the recording's `Labelling` until then, JSON; '' for none
    Column("after", Text, nullable=False),
    Column("time", _TIME, nullable=False),
)

corpora = Table(  # what retraining may learn from beside the household's own recordings
    "corpora",
    metadata,
    Column("name", _SLUG, primary_key=True),
    Column("kind", String(20), nullable=False),  # see `corpus.layouts.Layout`
    Column("folder", Text, nullable=False),
    Column("manifest", Text, nullable=False),  # absolute path of its table
    Column("recordings", Integer, nullable=False),  # as counted when it was added
    Column("duration_s", Float, nullable=False),
    Column("licences", Text, nullable=False),
    Column("added", _TIME, nullable=False),
)


def stamp(time: datetime) -> str:
    """Return a time as the tables hold it."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
