"""Where a candidate in the shadow and the active model disagreed: what is worth a person's ear."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal

from sqlalchemy import Engine, RowMapping, delete, func, select

from earshot_node.contract.deployment import ShadowReport
from earshot_node.contract.recordings import RecordingInfo
from earshot_trainer.catalogue.inserting import insert_new
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import disagreements, recordings, stamp

MOST_OF_A_NODE: Final = 1000
"""A node that says ever new things does not fill the disk."""
COLLAR: Final = timedelta(seconds=2)


@dataclass(frozen=True, slots=True)
class Disagreed:
    """An event that one model heard and the other did not; times as the tables hold them.

    Attributes:
        event: id of the event, known to the node's clips where the active model heard it.
        heard_by: `active` or `candidate`.
        peak: highest posterior of the one that heard it.
        recordings: sha256 of collected recordings that hold its audio, by time; empty: nothing of it was kept.
    """

    node: str
    event: str
    heard_by: Literal["active", "candidate"]
    source: str
    label: str
    onset: str
    offset: str
    peak: float
    active: str
    candidate: str
    candidate_sha256: str
    recordings: tuple[str, ...] = ()

    @property
    def opinions(self) -> str:
        """Return both models' view, for people."""
        others = {"active": self.candidate, "candidate": self.active}[self.heard_by]
        heard = {"active": self.active, "candidate": self.candidate}[self.heard_by]
        return f"{heard} heard {self.label} ({self.peak:.0%}), {others} did not"


class Disagreements:
    """Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def note(self, node: str, report: ShadowReport, now: datetime) -> int:
        """Keep what is news in a report; return how many that are.

        Whoever else notes the same report at the same time does no harm: each event is news to one of them.
        """
        here = disagreements.c.node == node
        new = 0
        with transaction(self._engine) as connection:
            known = set(connection.execute(select(disagreements.c.event).where(here)).scalars())
            fresh = {one.id[:64]: one for one in report.latest if one.id[:64] not in known}
            for event, one in sorted(fresh.items()):  # in one order, so that two never wait for each other
                values = {
                    "node": node,
                    "event": event,
                    "heard_by": one.heard_by,
                    "source": one.source,
                    "label": one.label,
                    "onset": stamp(one.onset),
                    "offset": stamp(one.offset),
                    "peak": one.peak,
                    "active": report.active,
                    "candidate": report.candidate,
                    "candidate_sha256": report.sha256,
                    "seen": stamp(now),
                }
                new += insert_new(connection, disagreements, values)
            if len(known) + len(fresh) > MOST_OF_A_NODE:
                kept = select(disagreements.c.event).where(here).order_by(disagreements.c.seen.desc())
                events = list(connection.execute(kept.limit(MOST_OF_A_NODE)).scalars())
                connection.execute(delete(disagreements).where(here, disagreements.c.event.not_in(events)))
        return new

    def all(self) -> list[Disagreed]:
        """Return all with the recordings that hold their audio, latest first."""
        columns = [column for column in disagreements.c if column.name != "seen"]
        with transaction(self._engine) as connection:
            rows = connection.execute(select(*columns).order_by(disagreements.c.onset.desc())).mappings().all()
            spans = _spans_of_recordings(list(connection.execute(select(recordings.c.info)).scalars())) if rows else []
        return [Disagreed(**row, recordings=_holding(spans, row)) for row in rows]

    def counts(self) -> dict[str, int]:
        """Return how many there are of each candidate's bundle, by its sha256."""
        counted = select(disagreements.c.candidate_sha256, func.count()).group_by(disagreements.c.candidate_sha256)
        with transaction(self._engine) as connection:
            return {row[0]: row[1] for row in connection.execute(counted)}


@dataclass(frozen=True, slots=True)
class _Span:
    node: str
    source: str
    begin: datetime
    end: datetime
    sha256: str


def _spans_of_recordings(infos: list[str]) -> list[_Span]:
    parsed = [RecordingInfo.decode(text.encode()) for text in infos]
    spans = [
        _Span(one.node, one.source, one.begin, one.begin + timedelta(seconds=one.duration_s), one.sha256)
        for one in parsed
    ]
    return sorted(spans, key=lambda span: span.begin)


def _holding(spans: list[_Span], row: RowMapping) -> tuple[str, ...]:
    onset = datetime.fromisoformat(row["onset"])
    offset = datetime.fromisoformat(row["offset"])
    return tuple(
        span.sha256
        for span in spans
        if (span.node, span.source) == (row["node"], row["source"])
        and span.begin <= offset + COLLAR
        and onset - COLLAR <= span.end
    )
