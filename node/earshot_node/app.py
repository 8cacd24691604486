"""The node: wires audio, inference, MQTT, clips and HTTP. The only place where threads meet.

    audio threads --status--> loop          inference thread --steps--> loop --events--> publisher, clips
                                            inference thread <--operating points-- loop

The asyncio loop runs in the main thread and owns MQTT's queue, HTTP and files; the inference thread pulls audio.
"""

import asyncio
import contextlib
import logging
import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, ParamSpec

from earshot_node import __version__
from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import open_clip_store
from earshot_node.configuration.file import check_labels, state_folder
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import EventMessage, ModelInfo, NodeInfo, SourceInfo
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import OperatorError
from earshot_node.health import DEAF_STATES, INFERENCE_STALLED_AFTER_S
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.inference.bundle import Bundle, load_bundle, load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference_thread import InferenceThread, Step
from earshot_node.listener import CutClip, SourceListener
from earshot_node.mqtt.publisher import Publisher
from earshot_node.mqtt.settings import LabelSettings, SettingChange
from earshot_node.mqtt.store import StateStore
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap, TappedBlocks
from earshot_node.reporting import Reporter
from earshot_node.systemd import Notifier

if TYPE_CHECKING:
    from earshot_node.http.node_server import NodeServer

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")

_KEEP_COUNTERS_EVERY_TICKS: Final = 60
COMMIT_WAIT_S: Final = 5.0
LOOP_STALLED_AFTER_S: Final = 60.0


def run_node(config: NodeConfig) -> int:
    """Run a node until SIGTERM or SIGINT, or until all its sources have ended; return the exit code.

    Raises:
        EarshotError: it cannot start; one line says why.
    """
    bundle = open_bundle(config)
    check_labels(config, bundle.manifest.labels)
    state_dir = state_folder(config)
    state_dir.mkdir(parents=True, exist_ok=True)
    return asyncio.run(_serve(config, bundle, state_dir))


def open_bundle(config: NodeConfig) -> Bundle:
    """Return the model that the configuration asks for.

    Raises:
        BundleError: it cannot be trusted or used.
    """
    if not config.model.bundle:
        return load_bundled()
    return load_bundle(Path(config.model.bundle), trusted_keys=config.model.trusted_keys)


async def _serve(config: NodeConfig, bundle: Bundle, state_dir: Path) -> int:
    with contextlib.closing(StateStore(state_dir / "node.sqlite")) as store:
        node = Node(config, bundle, store, state_dir)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, node.stop)
        await node.run()
    return 0


class Node:
    """All parts of a running node; made inside its event loop.

    Args:
        config: checked configuration.
        bundle: the model, verified.
        store: events that wait, settings, counters.
        state_dir: existing folder for clips and token.
    """

    def __init__(self, config: NodeConfig, bundle: Bundle, store: StateStore, state_dir: Path) -> None:
        self._config = config
        self._manifest = bundle.manifest
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier.from_environment(os.environ)
        self._metrics = Metrics(__version__, bundle.manifest.version)
        self._publisher = Publisher(
            config, _describe(config, bundle), store, self._apply_setting, on_failure=self._fail
        )
        self._intake = Intake(config.sources, self._in_loop(self._source_changed))
        self._tap = StreamTap()
        self._inference = self._build_inference(bundle)
        self._reporter = Reporter(
            config, bundle.manifest.version, self._publisher, self._metrics, self._statuses(), self._kept_counters()
        )
        self._clips = open_clip_store(config.clips, state_dir)
        self._recordings = RecordingService(config, state_dir, self._clips, self._tap, status=self._intake.status)
        self._clip_writer = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._state_dir = state_dir
        self._telling: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._failure: Exception | None = None
        self._has_decided = False
        self._alive_at_s = self._ticked_at_s = time.monotonic()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopped.set()

    async def run(self) -> None:
        """Start all parts, wait for `stop`, stop them in order.

        Raises:
            Exception: whatever ended the inference thread or the reports.
        """
        self._intake.start()
        self._inference.start()
        await self._publisher.start()
        self._notifier.ready(f"listening to {len(self._config.sources)} sources")
        ticking = asyncio.create_task(self._tick_every_second(), name="ticks")
        ticking.add_done_callback(lambda _: self.stop())
        http = await self._start_http()
        keeping = asyncio.create_task(self._recordings.run(), name="recordings")
        await self._stopped.wait()
        self._notifier.stopping()
        ticking.cancel()
        keeping.cancel()
        await asyncio.to_thread(self._stop_listening)
        if self._telling:
            await asyncio.wait(self._telling, timeout=COMMIT_WAIT_S)
        await asyncio.to_thread(self._clip_writer.shutdown)
        self._keep_counters()
        await self._publisher.stop()
        if http is not None:
            await http.stop()
        await asyncio.to_thread(self._recordings.close)
        if self._failure is not None:
            raise self._failure
        with contextlib.suppress(asyncio.CancelledError):
            await ticking

    def _build_inference(self, bundle: Bundle) -> InferenceThread:
        manifest = bundle.manifest
        listeners = {
            source.id: SourceListener(self._config, source.id, manifest.labels, manifest.hop_s, manifest.version)
            for source in self._config.sources
        }
        return InferenceThread(
            TappedBlocks(self._intake, self._tap),
            Pipeline(StreamingModel(manifest, bundle.model), self._points),
            listeners,
            self._in_loop(self._take_step),
            on_alive=self._feed_watchdog,
            on_failure=self._in_loop(self._fail),
        )

    async def _start_http(self) -> "NodeServer | None":
        if not self._config.http.enabled:
            return None
        # Imported when the node already listens, beside the loop: aiohttp is a third of all that a start has to read.
        module = await asyncio.to_thread(import_module, "earshot_node.http.node_server")
        server: NodeServer = module.NodeServer(
            self._config.http, self._state_dir, self._health_report, self._metrics, self._recordings
        )
        try:
            await server.start()
        except OperatorError as error:
            # A node that listens is worth more than one that can be asked how it is.
            _log.warning("%s; going on without health and metrics over HTTP", error)
            return None
        return server

    def _in_loop(self, function: Callable[_P, None]) -> Callable[_P, None]:
        """Return a function for other threads that has `function` called in the loop."""

        def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(lambda: function(*args, **kwargs))

        return call

    def _feed_watchdog(self) -> None:
        """Called in the inference thread: nothing else says that the node is alive; not when nobody can be told."""
        self._alive_at_s = time.monotonic()
        if self._alive_at_s - self._ticked_at_s < LOOP_STALLED_AFTER_S:
            self._notifier.alive()

    def _stop_listening(self) -> None:
        self._intake.stop()
        self._inference.stop()

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.stop()

    def _point(self, label: str, settings: LabelSettings) -> OperatingPoint | None:
        if not settings.enabled:
            return None
        override = self._config.detection.operating_points.get(label)
        return override if override is not None else self._manifest.presets.at(label, settings.sensitivity)

    def _points(self, source: str) -> dict[str, OperatingPoint]:
        points = {label: self._point(label, self._publisher.settings(source, label)) for label in self._config.labels}
        return {label: point for label, point in points.items() if point is not None}

    def _apply_setting(self, source: str, label: str, change: SettingChange) -> None:
        self._inference.set_point(source, label, self._point(label, change.settings))

    def _source_changed(self, source: str, status: SourceStatus) -> None:
        if status.state in DEAF_STATES:
            # No more audio that means anything: an event that was open must not stay on until the source is back.
            self._inference.end_stream(source)
        self._reporter.source_changed(source, status)

    def _take_step(self, step: Step) -> None:
        if step.hops and not self._has_decided:
            self._has_decided = True
            _log.info("first decision; %s is listening", self._config.node.id)
        self._reporter.hear(step)
        for heard in step.heard:
            for event in heard.events:
                # A task each: a disk that hangs on one event must not hold back the next one's alarm.
                task = asyncio.create_task(self._tell_event(event), name=f"event {event.id}")
                self._telling.add(task)
                task.add_done_callback(self._told)
            for clip in heard.clips:
                self._clip_writer.submit(self._keep_clip, clip)

    async def _tell_event(self, event: EventMessage) -> None:
        waited_s = (datetime.now(UTC) - event.decided).total_seconds() if event.decided is not None else 0.0
        await self._publisher.publish_event(event, max(0.0, waited_s))
        if event.phase == "onset":
            self._metrics.count_event(event.source, event.event_type)
        _log.info(
            "%s: %s %s, confidence %d %%, %.1f dBFS, event %s",
            event.source,
            event.event_type,
            "began" if event.phase == "onset" else f"ended after {event.duration_s:.1f} s",
            event.confidence,
            event.level_dbfs,
            event.id,
        )

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, Exception):
            _log.critical("%s could not be told", task.get_name(), exc_info=error)
            self._fail(error)

    def _keep_clip(self, clip: CutClip) -> None:
        """Called in the clip writer's thread."""
        if self._clips is None:
            return
        try:
            self._clips.add(encode_clip(clip.cut.pcm, clip.begin, clip.event))
        except Exception as error:  # noqa: BLE001 - the top of the thread's work
            _log.warning("clips: the clip of event %s is lost: %s: %s", clip.event.id, type(error).__name__, error)

    async def _tick_every_second(self) -> None:
        ticks = 0
        while True:
            age_s = time.monotonic() - self._alive_at_s
            verdict = self._reporter.tick(self._statuses(), age_s)
            if age_s < INFERENCE_STALLED_AFTER_S:
                self._notifier.status("; ".join((verdict.state, *verdict.problems)))
            if self._intake.ended:
                _log.info("all sources have ended")
                return
            ticks += 1
            self._ticked_at_s = time.monotonic()
            if ticks % _KEEP_COUNTERS_EVERY_TICKS == 0:
                await asyncio.to_thread(self._keep_counters)
            await asyncio.sleep(1)

    def _statuses(self) -> dict[str, SourceStatus]:
        return {source.id: self._intake.status(source.id) for source in self._config.sources}

    def _health_report(self) -> HealthReport:
        verdict = self._reporter.verdict
        return HealthReport(
            verdict.state, verdict.problems, __version__, self._manifest.version, self._publisher.connected
        )

    def _kept_counters(self) -> dict[str, float]:
        return {source.id: self._store.counter(f"listened_s/{source.id}") for source in self._config.sources}

    def _keep_counters(self) -> None:
        for source, listened_s in self._reporter.listened_s.items():
            name = f"listened_s/{source}"
            self._store.count(name, listened_s - self._store.counter(name))


def _describe(config: NodeConfig, bundle: Bundle) -> NodeInfo:
    manifest = bundle.manifest
    return NodeInfo(
        node=config.node.id,
        name=config.node.name or config.node.id,
        version=__version__,
        model=ModelInfo(name=manifest.name, version=manifest.version, labels=manifest.labels),
        labels=config.labels,
        sources=tuple(SourceInfo(id=one.id, name=one.name or one.id, type=one.type) for one in config.sources),
        started=datetime.now(UTC),
    )
