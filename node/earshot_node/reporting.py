"""What a node says about itself while it listens: levels, confidence, health, metrics. Runs in the event loop."""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol

from earshot_node.audio.intake import SourceStatus
from earshot_node.audio.level import SILENCE_DBFS
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import NodeHealth, SourceHealth
from earshot_node.health import RealTimeFactor, RecentLoss, Verdict, judge
from earshot_node.http.metrics import Metrics
from earshot_node.inference_thread import Step

LEVEL_EVERY_TICKS: Final = 5
HEALTH_EVERY_TICKS: Final = 30
CONFIDENCE_EVERY_TICKS: Final = 10
"""Even when it does not move: the sensor expires, and after a restart Home Assistant has to hear it once."""
_CONFIDENCE_STEP: Final = 3


class Telling(Protocol):
    """The part of the publisher that reports go to."""

    @property
    def connected(self) -> bool:
        """Whether the broker is reached."""

    @property
    def queued(self) -> int:
        """Events that wait for the broker."""

    @property
    def problem(self) -> str:
        """Why the broker is not reached, one line; empty when it is."""

    def publish_level(self, source: str, dbfs: float) -> None:
        """Tell a source's level."""

    def publish_confidence(self, source: str, label: str, percent: int) -> None:
        """Tell a label's highest confidence of the last seconds."""

    def publish_health(self, health: NodeHealth) -> None:
        """Tell how the node is."""

    def publish_source_health(self, health: SourceHealth) -> None:
        """Tell how a source is."""


class _LevelMeter:
    """Mean level of what was heard since the last reading: powers are averaged, not decibels."""

    def __init__(self) -> None:
        self._power = 0.0
        self._hops = 0

    def push(self, level_dbfs: float, hops: int) -> None:
        self._power += 10 ** (level_dbfs / 10) * hops
        self._hops += hops

    def read(self) -> float | None:
        if not self._hops:
            return None
        mean = self._power / self._hops
        self._power, self._hops = 0.0, 0
        return max(SILENCE_DBFS, 10 * math.log10(mean)) if mean > 0 else SILENCE_DBFS


class Reporter:
    """Gathers steps and source states; `tick` once a second publishes what is due.

    Args:
        listened_s: audio heard by source before this start, in seconds; grows on.
        further: asked at each tick: other problems that do not make the node deaf.
        clock: wall time.
    """

    def __init__(
        self,
        config: NodeConfig,
        model_version: str,
        telling: Telling,
        metrics: Metrics,
        statuses: Mapping[str, SourceStatus],
        listened_s: Mapping[str, float],
        *,
        further: Callable[[], Sequence[str]] = tuple,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._further = further
        self._model_version = model_version
        self._telling = telling
        self._metrics = metrics
        self._statuses = dict(statuses)
        self._listened_before_s = dict(listened_s)
        self._clock = clock
        self._factor = RealTimeFactor()
        self._loss = RecentLoss()
        self._meters: dict[str, _LevelMeter] = defaultdict(_LevelMeter)
        self._peaks: dict[tuple[str, str], float] = {}
        self._told_percent: dict[tuple[str, str], tuple[int, int]] = {}
        self._ticks = 0
        self.verdict = Verdict("starting", ())

    def use_model(self, version: str) -> None:
        """Another model decides from now on."""
        self._model_version = version

    @property
    def listened_s(self) -> dict[str, float]:
        """Audio heard by source, all starts together."""
        return {
            source: self._listened_before_s.get(source, 0.0) + status.delivered_s
            for source, status in self._statuses.items()
        }

    def hear(self, step: Step) -> None:
        """Take a step of the inference thread."""
        hearing = len({heard.source for heard in step.heard if heard.levels_dbfs})
        self._factor.push(step.audio_s / max(1, hearing), step.work_s)
        self._metrics.observe_inference(step.work_s, step.audio_s, step.hops)
        for heard in step.heard:
            for level_dbfs, hops in heard.levels_dbfs:
                self._meters[heard.source].push(level_dbfs, hops)
            for label, peak in heard.peaks.items():
                key = (heard.source, label)
                self._peaks[key] = max(peak, self._peaks.get(key, 0.0))

    def source_changed(self, source: str, status: SourceStatus) -> None:
        """A source's state changed; it is told at once."""
        self._statuses[source] = status
        self._tell_source(source)

    def tick(self, statuses: Mapping[str, SourceStatus], inference_age_s: float) -> Verdict:
        """Publish what is due; call once a second with the sources' present statuses."""
        self._statuses = dict(statuses)
        problems = [one for one in (self._telling.problem, *self._further()) if one]
        verdict = judge(
            self._statuses,
            inference_age_s=inference_age_s,
            factor=self._factor.value,
            losing=self._loss.push({source: status.dropped_s for source, status in self._statuses.items()}),
            extra=problems,
        )
        changed = verdict != self.verdict
        self.verdict = verdict
        self._metrics.set_publisher(connected=self._telling.connected, queued=self._telling.queued)
        self._metrics.set_real_time_factor(self._factor.value)
        if self._ticks % LEVEL_EVERY_TICKS == 0:
            self._tell_levels()
        if changed or self._ticks % HEALTH_EVERY_TICKS == 0:
            self._tell_health()
        if self._ticks % HEALTH_EVERY_TICKS == 0:
            for source in self._statuses:
                self._tell_source(source)
        self._ticks += 1
        return verdict

    def _tell_levels(self) -> None:
        for source, meter in self._meters.items():
            level = meter.read()
            if level is not None:
                self._telling.publish_level(source, round(level, 1))
                self._metrics.set_level(source, level)
        for (source, label), peak in self._peaks.items():
            if label in self._config.labels:
                self._tell_confidence(source, label, round(peak * 100))
        self._peaks.clear()

    def _tell_confidence(self, source: str, label: str, percent: int) -> None:
        """Tell it when it has moved, because a few percent up and down would only fill the household's history."""
        told_percent, told_tick = self._told_percent.get((source, label), (-100, -100))
        has_moved = abs(percent - told_percent) >= _CONFIDENCE_STEP
        if has_moved or self._ticks - told_tick >= CONFIDENCE_EVERY_TICKS:
            self._told_percent[source, label] = (percent, self._ticks)
            self._telling.publish_confidence(source, label, percent)

    def _tell_health(self) -> None:
        health = NodeHealth(
            state=self.verdict.state,
            problems=self.verdict.problems,
            real_time_factor=round(self._factor.value, 4),
            hours_listened=round(sum(self.listened_s.values()) / 3600, 3),
            dropped_s=round(sum(status.dropped_s for status in self._statuses.values()), 2),
            queued_events=self._telling.queued,
            model_version=self._model_version,
            time=self._clock(),
        )
        self._telling.publish_health(health)

    def _tell_source(self, source: str) -> None:
        status = self._statuses[source]
        self._metrics.set_source(source, status)
        health = SourceHealth(
            source=source,
            state=status.state,
            problem=status.problem,
            dropped_s=round(status.dropped_s, 2),
            hours_listened=round(self.listened_s.get(source, 0.0) / 3600, 3),
            reopened=status.reopened,
            time=self._clock(),
        )
        self._telling.publish_source_health(health)
