"""Judges a canary from the trainer's side: how the node does against its own past. Pure: facts and times come in.

The node itself compares both models on the same audio (see docs/joining.md) and goes back by itself; this judge sees
what the node cannot: that it went away, that it hears nothing any more, how often it alarmed in the weeks before.
"""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from earshot_node.contract.messages import EventMessage
from earshot_trainer.catalogue.alarms import AlarmRate
from earshot_trainer.fleet.board import NodeView

AWAY_FOR_S: Final = 120.0
DEAF_FOR_S: Final = 120.0
SLOW_FOR_S: Final = 120.0
MANY_ALARMS: Final = 5
MANY_TIMES: Final = 3
PAST_NEEDED_S: Final = 3600.0


@dataclass(slots=True)
class CanaryWatch:
    """Feed it now and then; `judge` returns why the canary is stopped, '' as long as it does well.

    Attributes:
        sha256: of the bundle on trial.
        past: how often the node alarmed before.
        was_deaf: whether it could not hear before the new model came; then deafness is not held against the model.
        begun_s: when the watch began, in seconds of any clock that only grows.
        labels: what the node heard before, too; what a model has learnt besides is no alarm too many. Empty: all count.
    """

    sha256: str
    past: AlarmRate
    was_deaf: bool
    begun_s: float
    labels: frozenset[str] = frozenset()
    _alarms: set[str] = field(default_factory=set)
    _away_since_s: float | None = None
    _deaf_since_s: float | None = None
    _slow_since_s: float | None = None

    def heard(self, event: EventMessage) -> None:
        """The canary has alarmed; the same event may come twice."""
        if not self.labels or event.event_type in self.labels:
            self._alarms.add(event.id)

    @property
    def alarms(self) -> int:
        """How often it has alarmed under the new model."""
        return len(self._alarms)

    def judge(self, view: NodeView, now_s: float) -> str:
        """Return why the canary has failed, '' while it has not."""
        result = view.result
        if result is not None and result.sha256 == self.sha256 and result.outcome == "rolled_back":
            return f"{view.id} went back: {result.reason or 'no reason told'}"
        self._away_since_s = _since(self._away_since_s, view.status != "online", now_s)
        if self._away_since_s is not None and now_s - self._away_since_s >= AWAY_FOR_S:
            return f"{view.id} is away for {AWAY_FOR_S:.0f} s"
        health = view.health
        is_deaf = view.status == "online" and health is not None and health.state == "deaf" and not self.was_deaf
        self._deaf_since_s = _since(self._deaf_since_s, is_deaf, now_s)
        if self._deaf_since_s is not None and now_s - self._deaf_since_s >= DEAF_FOR_S:
            assert health is not None
            return f"{view.id} cannot hear for {DEAF_FOR_S:.0f} s: {_first(health.problems)}"
        is_slow = view.status == "online" and health is not None and health.real_time_factor > 1
        self._slow_since_s = _since(self._slow_since_s, is_slow, now_s)
        if self._slow_since_s is not None and now_s - self._slow_since_s >= SLOW_FOR_S:
            assert health is not None
            return f"{view.id} is slower than real time for {SLOW_FOR_S:.0f} s ({health.real_time_factor:.1f} times)"
        return self._too_many(view.id, now_s)

    def _too_many(self, node: str, now_s: float) -> str:
        watched_s = max(1.0, now_s - self.begun_s)
        if self.alarms < MANY_ALARMS:
            return ""
        if self.past.listened_s < PAST_NEEDED_S:
            return f"{node} has alarmed {self.alarms} times in {watched_s / 60:.0f} min, and its past is not known"
        expected = self.past.alarms * watched_s / self.past.listened_s
        if self.alarms <= MANY_TIMES * expected:
            return ""
        a_day = self.past.alarms * 86_400 / self.past.listened_s
        return f"{node} has alarmed {self.alarms} times in {watched_s / 60:.0f} min; before, {a_day:.1f} times a day"


def _since(began_s: float | None, lasts: bool, now_s: float) -> float | None:
    if not lasts:
        return None
    return now_s if began_s is None else began_s


def _first(problems: Collection[str]) -> str:
    return next(iter(problems), "no reason told")
