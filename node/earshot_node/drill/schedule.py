"""When the weekly drill is due. Pure; local time is given."""

from datetime import datetime, timedelta
from typing import Final

_DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


def next_due(weekly: str, now: datetime) -> datetime:
    """Return the next moment after `now`, in the same time, at which `weekly` ('wed 11:00') falls."""
    day, _, clock = weekly.partition(" ")
    hour, minute = (int(part) for part in clock.split(":"))
    at = now.replace(hour=hour, minute=minute, second=0, microsecond=0)
    at += timedelta(days=(_DAYS.index(day) - now.weekday()) % 7)
    return at if at > now else at + timedelta(days=7)
