"""Listens without a running node, to keep what `recordings.auto` allows: the node's parts without MQTT and HTTP."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from typing import Final, ParamSpec

from earshot_node.audio.intake import Intake, SourceStatus
from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import RamClips
from earshot_node.configuration.file import check_labels
from earshot_node.contract.config import NodeConfig
from earshot_node.deployment.models import OperatingPoints, active_bundle
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference_thread import InferenceThread, Step
from earshot_node.listener import SourceListener
from earshot_node.mqtt.settings import CommandedSettings, LabelSettings, default_settings
from earshot_node.mqtt.store import StateStore
from earshot_node.recordings.budget import Unasked
from earshot_node.recordings.candidates import Candidates
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap, TappedBlocks

_P = ParamSpec("_P")

_LOOK_EVERY_S: Final = 0.5


def keep_while_listening(config: NodeConfig, state_dir: Path) -> Iterator[Unasked]:
    """Listen to all sources and keep candidates; tell as `Candidates.follow` does.

    Ends when all sources have ended, or in order at SIGINT or SIGTERM. No event is told to anybody.

    Raises:
        EarshotError: the model cannot be used, or a node without HTTP uses this folder.
    """
    bundle = active_bundle(config)
    check_labels(config, bundle.manifest.decided_labels(config.detection.operating_points))
    with contextlib.closing(StateStore(state_dir / "node.sqlite")) as store, asyncio.Runner() as runner:
        following = _listen(config, state_dir, bundle, _settings(config, store))
        try:
            while (news := runner.run(_next(following))) is not None:
                yield news
        finally:
            runner.run(following.aclose())


class OwnEar:
    """The parts of a node that hear and keep; made inside an event loop."""

    def __init__(self, config: NodeConfig, state_dir: Path, bundle: Bundle, points: OperatingPoints) -> None:
        manifest = bundle.manifest
        self._loop = asyncio.get_running_loop()
        self._clips = RamClips(config.clips.keep) if config.clips.store != "off" else None
        tap = StreamTap()
        self._intake = Intake(config.sources, self._in_loop(self._source_changed))
        self._service = RecordingService(config, state_dir, self._clips, tap, status=self._intake.status)
        self.candidates = Candidates(self._service, tap, manifest.version, has_clips=self._clips is not None)
        listeners = {
            source.id: SourceListener(config, source.id, manifest.hop_s, manifest.version) for source in config.sources
        }
        self._inference = InferenceThread(
            TappedBlocks(self._intake, tap),
            Pipeline(StreamingModel(manifest, bundle.model, config.labels), points.of(manifest)),
            listeners,
            self._in_loop(self._hear),
            on_alive=lambda: None,
            on_failure=self._in_loop(self._fail),
        )
        self._failure: Exception | None = None
        self._stopped = asyncio.Event()

    def stop(self) -> None:
        """Ask `run` to end."""
        self._stopped.set()

    async def run(self) -> None:
        """Listen until `stop` or until all sources have ended; keep what was begun, and end those who follow.

        Raises:
            Exception: whatever ended the inference.
        """
        self._intake.start()
        self._inference.start()
        while not (self._stopped.is_set() or self._intake.ended):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopped.wait(), _LOOK_EVERY_S)
        await asyncio.to_thread(self._intake.stop)
        await asyncio.to_thread(self._inference.stop)
        await self.candidates.finish()
        self.candidates.close()
        if self._failure is not None:
            raise self._failure

    async def close(self) -> None:
        """Finish with the disk, once nobody follows any more."""
        await asyncio.to_thread(self._service.close)

    def _hear(self, step: Step) -> None:
        for heard in step.heard:
            self.candidates.hear(heard)
            for clip in heard.clips:
                if self._clips is not None:
                    self._clips.add(encode_clip(clip.cut.pcm, clip.begin, clip.event))
                    self.candidates.clip_kept(clip.event)

    def _source_changed(self, source: str, status: SourceStatus) -> None:
        if status.problem:
            self.candidates.tell(None, f"{source}: {status.problem}")

    def _fail(self, error: Exception) -> None:
        self._failure = error
        self.stop()

    def _in_loop(self, function: Callable[_P, None]) -> Callable[_P, None]:
        """Return a function for other threads that has `function` called in the loop."""

        def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody is left to be told
                self._loop.call_soon_threadsafe(lambda: function(*args, **kwargs))

        return call


async def _listen(
    config: NodeConfig, state_dir: Path, bundle: Bundle, points: OperatingPoints
) -> AsyncGenerator[Unasked, None]:
    ear = OwnEar(config, state_dir, bundle, points)
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ear.stop)
    async with contextlib.aclosing(ear.candidates.follow()) as following:
        running = asyncio.create_task(ear.run(), name="listening")
        try:
            async for news in following:
                yield news
        finally:
            ear.stop()
            await running
            await ear.close()


async def _next(following: AsyncGenerator[Unasked, None]) -> Unasked | None:
    return await anext(following, None)


def _settings(config: NodeConfig, store: StateStore) -> OperatingPoints:
    """Decide as the node would, with what was commanded in Home Assistant."""
    commanded, default = store.settings(), default_settings(config)

    def settings(source: str, label: str) -> LabelSettings:
        return commanded.get((source, label), CommandedSettings()).over(default)

    return OperatingPoints(config, settings)
