"""Watches a candidate that runs beside the active model and reports where they disagree; nobody is alarmed by it."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from earshot_node.contract.deployment import ShadowReport
from earshot_node.deployment.comparison import Comparison
from earshot_node.deployment.slots import Slot
from earshot_node.inference_thread import Step

PATIENCE_S: Final = 60.0
"""How long after an event's end the other model may still tell that it heard it."""
REPORT_EVERY_S: Final = 60.0


class Shadow:
    """Feed it every step; it reports at every disagreement, and once a minute.

    Args:
        candidate: what runs in the shadow.
        active: version of the model that decides.
        report: called with what there is to tell.
        clock: wall time.
    """

    def __init__(
        self,
        candidate: Slot,
        active: str,
        report: Callable[[ShadowReport], None],
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.candidate = candidate
        self.active = active
        self._report = report
        self._clock = clock
        self._comparison = Comparison()
        self._begun = clock()
        self._heard_s = self._work_s = self._reported_s = 0.0
        self._told = -1
        self._problem = ""

    def hear(self, step: Step) -> None:
        """Take a step of the inference thread."""
        beside = step.companion
        if beside is None or beside.version != self.candidate.version:
            return
        hearing = len({heard.source for heard in step.heard if heard.levels_dbfs})
        self._heard_s += step.audio_s / max(1, hearing)
        self._work_s += beside.work_s
        self._problem = str(beside.failure) if beside.failure is not None else ""
        for heard in step.heard:
            self._comparison.active(heard.events)
        self._comparison.candidate(beside.events)
        self._comparison.settle(self._clock(), PATIENCE_S)
        counted = sum(self._comparison.only.values())
        if counted != self._told or self._problem or self._heard_s - self._reported_s >= REPORT_EVERY_S:
            self._told, self._reported_s = counted, self._heard_s
            self._report(self.report())

    def report(self) -> ShadowReport:
        """Return how it stands."""
        comparison = self._comparison
        return ShadowReport(
            active=self.active,
            candidate=self.candidate.version,
            sha256=self.candidate.sha256,
            begun=self._begun,
            heard_s=round(self._heard_s, 1),
            agreed=comparison.agreed,
            only_active=comparison.only["active"],
            only_candidate=comparison.only["candidate"],
            latest=tuple(comparison.latest),
            real_time_factor=round(self._work_s / self._heard_s, 5) if self._heard_s else 0.0,
            problem=self._problem,
        )
