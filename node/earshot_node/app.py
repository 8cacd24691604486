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
from pathlib import Path
from typing import Final, ParamSpec

from earshot_node import __version__
from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import open_clip_store
from earshot_node.configuration.file import check_labels, state_folder
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.messages import EventMessage
from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.contract.topics import NodeTopics
from earshot_node.deployment.models import Booted, Models, OperatingPoints, boot_models
from earshot_node.deployment.telling import Telling
from earshot_node.description import describe_node
from earshot_node.drill.desk import Drills
from earshot_node.event_telling import EventTelling
from earshot_node.health import DEAF_STATES, INFERENCE_STALLED_AFTER_S
from earshot_node.house.service import House
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.http.serving import Serving
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference_thread import InferenceThread, Step
from earshot_node.listener import CutClip, SourceListener
from earshot_node.member import Member
from earshot_node.mqtt.publisher import Publisher
from earshot_node.mqtt.settings import SettingChange
from earshot_node.mqtt.store import StateStore
from earshot_node.mqtt.vital_task import only_log, start_task
from earshot_node.recordings.candidates import Candidates
from earshot_node.recordings.feedback import Feedback
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap, TappedBlocks
from earshot_node.reporting import Reporter
from earshot_node.spectrogram.pictures import Pictures
from earshot_node.systemd import Notifier

_log = logging.getLogger(__name__)
_P = ParamSpec("_P")

_KEEP_COUNTERS_EVERY_TICKS: Final = 60
LOOP_STALLED_AFTER_S: Final = 60.0


def run_node(config: NodeConfig) -> int:
    """Run a node until SIGTERM or SIGINT, or until all its sources have ended; return the exit code.

    Raises:
        EarshotError: it cannot start; one line says why.
    """
    state_dir = state_folder(config)
    state_dir.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(StateStore(state_dir / "node.sqlite")) as store:  # refuses a second node on this folder
        models = boot_models(config, state_dir)
        if models.boot.slots.active is None:
            check_labels(config, models.manifest.decided_labels(config.detection.operating_points))
        return asyncio.run(_serve(config, models, store, state_dir))


async def _serve(config: NodeConfig, models: Booted, store: StateStore, state_dir: Path) -> int:
    node = Node(config, models, store, state_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, node.stop)
    await node.run()
    return 0


class Node:
    """All parts of a running node; made inside its event loop.

    Args:
        config: checked configuration.
        models: with which models it starts.
        store: events that wait, settings, counters.
        state_dir: existing folder for clips and token.
    """

    def __init__(self, config: NodeConfig, models: Booted, store: StateStore, state_dir: Path) -> None:
        manifest = models.manifest
        self._started = datetime.now(UTC)
        self._config = config
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._notifier = Notifier.from_environment(os.environ)
        self._metrics = Metrics(__version__, manifest.version)
        self._clips = open_clip_store(config.clips, state_dir)
        self._tap = StreamTap()
        self._intake = Intake(config.sources, self._in_loop(self._source_changed))
        self._recordings = RecordingService(config, state_dir, self._clips, self._tap, status=self._intake.status)
        self._feedback = Feedback(self._recordings, self._clips, store.last_events())
        self._candidates = Candidates(self._recordings, self._tap, manifest.version, has_clips=self._clips is not None)
        self._publisher = self._build_publisher(manifest)
        self._recordings.on_report = self._publisher.publish_recordings
        self._points = OperatingPoints(config, self._publisher.settings)
        blocks = TappedBlocks(self._intake, self._tap)
        self._drills = Drills(
            config, state_dir, blocks, manifest, self._publisher, self._intake.status, self._siren_point
        )
        self._inference = self._build_inference(models.boot.model)
        topics = NodeTopics(config.mqtt.prefix, config.node.id)
        telling = Telling(self._publisher.publish_retained, topics, manifest.version)
        self._pictures = Pictures(topics, self._in_loop(self._publisher.publish_retained), self._clips)
        self._models = Models(models, self._inference, self._points, telling, state_dir, self._use_model)
        self._member = Member(config, state_dir, self._models, self._publish_info)
        self._house = House(config, config.node.id) if config.house.enabled and config.mqtt.enabled else None
        self._reporter = Reporter(
            config,
            manifest.version,
            self._publisher,
            self._metrics,
            self._statuses(),
            self._kept_counters(),
            further=self._further_problems,
        )
        self._serving = Serving(
            config.http,
            state_dir,
            self._health_report,
            self._metrics,
            self._recordings,
            self._models,
            self._candidates,
            on_server=self._member.serve,
        )
        self._clip_writer = ThreadPoolExecutor(1, thread_name_prefix="clips")
        self._events = EventTelling(self._publisher, self._metrics, self._fail)
        self._stopped = asyncio.Event()
        self._failure: Exception | None = None
        self._crashed = self._has_decided = False
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
        await self._models.start()
        self._notifier.ready(f"listening to {len(self._config.sources)} sources")
        ticking = asyncio.create_task(self._tick_every_second(), name="ticks")
        ticking.add_done_callback(lambda _: self.stop())
        self._recordings.on_labels = self._publish_info
        self._events.clip_url = self._serving.clip_url
        self._member.serve(None)
        beside = [
            start_task(self._serving.run(), "http", only_log),
            start_task(self._recordings.run(), "recordings", only_log),
            start_task(self._drills.run_weekly(), "drills", only_log),
        ]
        if self._house is not None:
            beside.append(start_task(self._house.run(), "house", only_log))
        await self._stopped.wait()
        self._notifier.stopping()
        ticking.cancel()
        for task in beside:
            task.cancel()
        await asyncio.to_thread(self._stop_listening)
        await self._events.finish()
        await asyncio.to_thread(self._clip_writer.shutdown)
        await self._feedback.close()
        self._keep_counters()
        await self._models.close(crashed=self._crashed)
        await self._publisher.stop()
        await asyncio.gather(*beside, return_exceptions=True)
        await self._serving.stop()
        self._candidates.close()
        await asyncio.to_thread(self._recordings.close)
        if self._failure is not None:
            raise self._failure
        with contextlib.suppress(asyncio.CancelledError):
            await ticking

    def _build_publisher(self, manifest: BundleManifest) -> Publisher:
        return Publisher(
            self._config,
            describe_node(self._config, manifest, self._started, self._recordings.labels),
            self._store,
            self._apply_setting,
            commands={
                "record": self._feedback.sample,
                "drill": lambda command: self._drills.start(command),  # noqa: PLW0108 - made later
                "install_model": lambda command: self._models.install_offered(command),  # noqa: PLW0108 - made later
                "roll_back_model": lambda command: self._models.roll_back_now(command),  # noqa: PLW0108
                "end_shadow": lambda command: self._models.end_shadow_now(command),  # noqa: PLW0108
            },
            on_feedback=self._feedback.judge,
            on_offer=lambda payload: self._models.take_offer(payload),  # noqa: PLW0108
            on_failure=self._fail,
        )

    def _build_inference(self, model: StreamingModel) -> InferenceThread:
        manifest = model.manifest
        listeners = {
            source.id: SourceListener(self._config, source.id, manifest.hop_s, manifest.version)
            for source in self._config.sources
        }
        return InferenceThread(
            self._drills.injector,
            Pipeline(model, self._points.of(manifest)),
            listeners,
            self._in_loop(self._take_step),
            on_alive=self._feed_watchdog,
            on_failure=self._in_loop(self._crash),
        )

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

    def _crash(self, error: Exception) -> None:
        """Inference has failed, maybe because of its model."""
        self._crashed = True
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.stop()

    def _apply_setting(self, source: str, label: str, change: SettingChange) -> None:
        point = self._points.point(self._models.manifest, label, change.settings)
        self._inference.set_point(source, label, point)

    def _siren_point(self, source: str) -> OperatingPoint | None:
        if SIREN not in self._config.labels:
            return None
        return self._points.point(self._models.manifest, SIREN, self._publisher.settings(source, SIREN))

    def _use_model(self, manifest: BundleManifest) -> None:
        """Another model decides from now on."""
        _log.info("%s %s decides from now on", manifest.name, manifest.version)
        self._reporter.use_model(manifest.version)
        self._metrics.use_model(manifest.version)
        self._candidates.use_model(manifest.version)
        self._publish_info()

    def _publish_info(self) -> None:
        info = describe_node(self._config, self._models.manifest, self._started, self._recordings.labels)
        self._publisher.publish_info(self._member.described(info))

    def _source_changed(self, source: str, status: SourceStatus) -> None:
        if status.state in DEAF_STATES:
            # No more audio that means anything: an event that was open must not stay on until the source is back.
            self._inference.end_stream(source)
        self._reporter.source_changed(source, status)

    def _take_step(self, step: Step) -> None:
        if step.hops and not self._has_decided:
            self._has_decided = True
            _log.info("first decision; %s is listening", self._config.node.id)
        step = self._drills.screen.pass_on(step)
        self._reporter.hear(step)
        self._models.hear(step)
        if step.companion is not None:
            self._candidates.hear_shadow(self._models.heard_in_shadow(step), step.companion.version)
        for heard in step.heard:
            self._candidates.hear(heard)
            for event in heard.events:
                self._feedback.heard(event)
                self._events.tell(event)
            for event in heard.named:
                self._events.tell_kind(event)
            for sketch in heard.sketches:
                self._clip_writer.submit(self._pictures.draw, sketch)
            for clip in heard.clips:
                self._clip_writer.submit(self._keep_clip, clip)

    def _keep_clip(self, clip: CutClip) -> None:
        """Called in the clip writer's thread."""
        if self._clips is None:
            return
        try:
            self._clips.add(encode_clip(clip.cut.pcm, clip.begin, clip.event))
            self._in_loop(self._clip_kept)(clip.event)
        except Exception as error:  # noqa: BLE001 - the top of the thread's work
            _log.warning("clips: the clip of event %s is lost: %s: %s", clip.event.id, type(error).__name__, error)

    def _clip_kept(self, event: EventMessage) -> None:
        if not self._feedback.clip_kept(event.id):
            self._candidates.clip_kept(event)

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
            self._member.tick()
            ticks += 1
            self._ticked_at_s = time.monotonic()
            if ticks % _KEEP_COUNTERS_EVERY_TICKS == 0:
                await asyncio.to_thread(self._keep_counters)
            await asyncio.sleep(1)

    def _statuses(self) -> dict[str, SourceStatus]:
        return {source.id: self._intake.status(source.id) for source in self._config.sources}

    def _further_problems(self) -> tuple[str, ...]:
        rivalry = self._house.rivalry if self._house is not None else ""
        return (rivalry, self._serving.problem, *self._models.problems, *self._drills.problems)

    def _health_report(self) -> HealthReport:
        verdict = self._reporter.verdict
        return HealthReport(
            verdict.state, verdict.problems, __version__, self._models.manifest.version, self._publisher.connected
        )

    def _kept_counters(self) -> dict[str, float]:
        return {source.id: self._store.counter(f"listened_s/{source.id}") for source in self._config.sources}

    def _keep_counters(self) -> None:
        for source, listened_s in self._reporter.listened_s.items():
            name = f"listened_s/{source}"
            self._store.count(name, listened_s - self._store.counter(name))
