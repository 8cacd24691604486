"""Prometheus metrics of one node, in a registry of its own."""

import threading
from typing import Final, Protocol, get_args

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)

from earshot_node.contract.messages import SourceState

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_STEP_BUCKETS_S: Final = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class ObservedSource(Protocol):
    """The part of a source's status that is measured."""

    @property
    def state(self) -> SourceState:
        """What the source does."""

    @property
    def dropped_s(self) -> float:
        """Audio lost since start."""

    @property
    def delivered_s(self) -> float:
        """Audio received since start."""

    @property
    def reopened(self) -> int:
        """How often it was opened again."""


class Metrics:
    """Counters and gauges; every method may be called from any thread."""

    def __init__(self, version: str, model: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._version = version
        self._info = Info("earshot_node", "Versions of the node.", registry=self.registry)
        self.use_model(model)
        by_source = ("source",)
        self._events = Counter("earshot_events", "Events by their onset.", ("source", "label"), registry=self.registry)
        self._hops = Counter("earshot_hops", "Decisions made.", registry=self.registry)
        self._audio = Counter("earshot_audio_seconds", "Audio that went through the model.", registry=self.registry)
        self._step = Histogram(
            "earshot_step_seconds",
            "Work on about one second of audio, or on less before an event.",
            buckets=_STEP_BUCKETS_S,
            registry=self.registry,
        )
        self._factor = Gauge("earshot_real_time_factor", "Processing over audio time.", registry=self.registry)
        self._level = Gauge("earshot_level_dbfs", "Sound level.", by_source, registry=self.registry)
        self._state = Gauge("earshot_source_state", "1 for its state.", ("source", "state"), registry=self.registry)
        self._dropped = Counter("earshot_dropped_seconds", "Audio lost.", by_source, registry=self.registry)
        self._delivered = Counter("earshot_delivered_seconds", "Audio received.", by_source, registry=self.registry)
        self._reopened = Counter("earshot_source_reopened", "Reopenings.", by_source, registry=self.registry)
        self._connected = Gauge("earshot_broker_connected", "1 while the broker is reached.", registry=self.registry)
        self._queued = Gauge("earshot_queued_events", "Events waiting for the broker.", registry=self.registry)
        self._totals: dict[tuple[int, str], float] = {}
        self._totals_lock = threading.Lock()

    def use_model(self, model: str) -> None:
        """This version of the model decides from now on."""
        self._info.info({"version": self._version, "model": model})

    def count_event(self, source: str, label: str) -> None:
        """An event began."""
        self._events.labels(source, label).inc()

    def observe_inference(self, seconds: float, audio_s: float, hops: int) -> None:
        """A step (up to about a second of audio, all sources together) took `seconds` for `hops` decisions."""
        self._step.observe(seconds)
        self._audio.inc(audio_s)
        self._hops.inc(hops)

    def set_real_time_factor(self, factor: float) -> None:
        """Processing over audio time of the last while."""
        self._factor.set(factor)

    def set_level(self, source: str, level_dbfs: float) -> None:
        """Sound level of a source."""
        self._level.labels(source).set(level_dbfs)

    def set_source(self, source: str, status: ObservedSource) -> None:
        """State and totals of a source."""
        for state in get_args(SourceState):
            self._state.labels(source, state).set(state == status.state)
        self._raise_to(self._dropped, source, status.dropped_s)
        self._raise_to(self._delivered, source, status.delivered_s)
        self._raise_to(self._reopened, source, status.reopened)

    def set_publisher(self, *, connected: bool, queued: int) -> None:
        """How it stands with the broker."""
        self._connected.set(connected)
        self._queued.set(queued)

    def render(self) -> bytes:
        """Return all of them in Prometheus' text format."""
        return generate_latest(self.registry)

    def _raise_to(self, counter: Counter, source: str, total: float) -> None:
        """Make a counter follow a total that only grows."""
        key = (id(counter), source)
        with self._totals_lock:
            before = self._totals.get(key, 0.0)
            counter.labels(source).inc(max(0.0, total - before))
            self._totals[key] = max(total, before)
