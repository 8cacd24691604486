"""From what the house has heard to what it tells. Wall time is attached here."""

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from earshot_node.contract.house import HouseEvent, HouseMicrophone, HouseReport
from earshot_node.contract.names import SIREN
from earshot_node.house.fusion import Began, Change, Fusion
from earshot_node.house.microphone import Microphone

RESUMED_WITHIN_S = 120.0
"""A siren that was told so long ago, and is heard again after a restart, is the same one."""


class Chronicle:
    """Names the sirens of the house, and knows the last one.

    Args:
        fusion: what is heard.
        owner: who runs the house.
        clock: wall time.
    """

    def __init__(
        self, fusion: Fusion, owner: str, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._fusion = fusion
        self._owner = owner
        self._clock = clock
        self._id = ""
        self._began: datetime | None = None
        self._ended: datetime | None = None
        self._part: tuple[HouseMicrophone, ...] = ()
        self._loudest_room = ""

    def now(self) -> datetime:
        """Return the wall time."""
        return self._clock()

    def resume(self, report: HouseReport, now_s: float) -> None:
        """Take what was told before a restart; a siren that still sounds goes on as the same one."""
        if self._fusion.sounds:
            return
        self._id, self._began, self._ended = report.id, report.began, report.ended
        self._part = tuple(one.model_copy(update={"sounding": False}) for one in report.microphones)
        self._loudest_room = report.loudest_room
        if report.state == "on":
            recent = abs((self._clock() - report.time).total_seconds()) <= RESUMED_WITHIN_S
            if not (recent and self._fusion.take_up(now_s)):
                self._ended = report.time

    def enter(self, change: Change, now_s: float) -> HouseEvent | None:
        """Write a change down; return what is to be told once about a siren that has begun."""
        at = self._clock() - timedelta(seconds=now_s - change.at_s)
        if not isinstance(change, Began):
            self._ended = at
            return None
        self._id, self._began, self._ended = uuid.uuid4().hex, at, None
        part = self._fusion.part
        return HouseEvent(
            id=self._id,
            event_type=SIREN,
            began=at,
            rooms=tuple(dict.fromkeys(one.room for one in part)),
            loudest_room=part[0].room,
            microphones=tuple("/".join(one.key) for one in part),
            confidence=max((one.confidence for one in part if one.confidence is not None), default=None),
        )

    def report(self, now_s: float) -> HouseReport:
        """Return how it is now."""
        fusion = self._fusion
        sounding = fusion.sounding(now_s) if fusion.sounds else []
        if fusion.part:
            self._part = tuple(_described(one, sounding=one in sounding) for one in fusion.part)
            self._loudest_room = fusion.part[0].room
        away = tuple(sorted("/".join(one.key) for one in fusion.away))
        return HouseReport(
            state="on" if fusion.sounds else "off",
            id=self._id,
            began=self._began,
            ended=self._ended,
            microphones=self._part,
            sounding=len(sounding),
            loudest_room=self._loudest_room,
            movement=fusion.movement(now_s),
            needed=fusion.needed,
            listening=len(fusion.listening),
            away=away,
            problem="" if fusion.listening else "no microphone listens; see the nodes' health",
            owner=self._owner,
            time=self._clock(),
        )


def _described(one: Microphone, *, sounding: bool) -> HouseMicrophone:
    return HouseMicrophone(
        node=one.node,
        source=one.source,
        name=one.name,
        room=one.room,
        sounding=sounding,
        level_dbfs=one.loudest_dbfs,
        confidence=one.confidence,
    )
