"""When the weekly drill is due. Pure; local time is given."""

from datetime import datetime, timedelta
from typing import Final

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def next_due(weekly: str, now: datetime) -> datetime:
    """Return the next moment after `now` at which the clock on the wall says `weekly` ('wed 11:00').

    `now` is local time by this machine's zone; the result has the offset from UTC that holds then.
    """
    day, _, clock = weekly.partition(" ")
    hour, minute = (int(part) for part in clock.split(":"))
    # Without its offset, which is another one after the clocks have changed.
    wall = now.replace(hour=hour, minute=minute, second=0, microsecond=0, tzinfo=None)
    wall += timedelta(days=(_DAYS.index(day) - now.weekday()) % 7)
    at = wall.astimezone()
    return at if at > now else (wall + timedelta(days=7)).astimezone()
