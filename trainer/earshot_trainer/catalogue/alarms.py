"""How often each node alarms, by the hour: what a canary is compared with."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Engine, delete, func, insert, select, update

from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import alarm_hours, stamp

KEPT: Final = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class AlarmRate:
    """Onsets of a node, and how long it listened meanwhile while somebody counted."""

    alarms: int = 0
    listened_s: float = 0.0


class Alarms:
    """Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, node: str, hour: datetime, more: AlarmRate) -> None:
        """Add to what a node has heard in an hour; forget what is long ago."""
        begin = stamp(hour.replace(minute=0, second=0, microsecond=0))
        here = (alarm_hours.c.node == node, alarm_hours.c.hour == begin)
        with transaction(self._engine) as connection:
            grown = update(alarm_hours).where(*here)
            values = {
                "alarms": alarm_hours.c.alarms + more.alarms,
                "listened_s": alarm_hours.c.listened_s + more.listened_s,
            }
            if connection.execute(grown.values(values)).rowcount == 0:
                new = {"node": node, "hour": begin, "alarms": more.alarms, "listened_s": more.listened_s}
                connection.execute(insert(alarm_hours).values(new))
            connection.execute(delete(alarm_hours).where(alarm_hours.c.hour < stamp(hour - KEPT)))

    def past(self, node: str, since: datetime, until: datetime | None = None) -> AlarmRate:
        """Return what a node has heard since then, in hours that were over at `until` if that is given."""
        query = select(func.sum(alarm_hours.c.alarms), func.sum(alarm_hours.c.listened_s))
        query = query.where(alarm_hours.c.node == node, alarm_hours.c.hour >= stamp(since))
        if until is not None:
            query = query.where(alarm_hours.c.hour <= stamp(until - timedelta(hours=1)))
        with transaction(self._engine) as connection:
            row = connection.execute(query).one()
        return AlarmRate(int(row[0] or 0), float(row[1] or 0.0))
