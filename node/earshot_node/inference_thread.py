"""The one thread that runs the model: pulls blocks, pushes them through the pipeline, tells what follows."""

import logging
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.companion_listener import CompanionEvent, CompanionListener, CompanionStep
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.companion import Companion
from earshot_node.inference.facts import Fact, Frames
from earshot_node.inference.pipeline import Pipeline
from earshot_node.listener import Heard, SourceListener

_log = logging.getLogger(__name__)

IDLE_WAIT_S = 0.5
TELL_QUIET_EVERY_S = 1.0
STEP_S = 0.5
"""Most audio of one source in a step: what waits is told bit by bit, so that a slow machine alarms soon."""


class BlockSource(Protocol):
    """Where blocks come from."""

    def wait(self, timeout_s: float) -> bool:
        """Return True as soon as a block waits, False after `timeout_s`."""

    def take(self) -> list[Block]:
        """Return all blocks that wait."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the thread tells: at once when it holds an event, a siren's kind or a clip, else gathered over a second.

    Attributes:
        heard: facts by source, in order; a source may appear several times.
        audio_s: audio that went through the model, all sources together.
        work_s: time that this took.
        hops: decisions made.
        companion: what the model beside it did; None without one.
        fallen_back: why the companion has taken over by itself in this step.
    """

    heard: tuple[Heard, ...]
    audio_s: float
    work_s: float
    hops: int
    companion: CompanionStep | None = None
    fallen_back: Exception | None = None


class InferenceThread:
    """Runs until it is stopped; a failure in it is told once, by `on_failure`, and ends it.

    Args:
        intake: where blocks come from.
        pipeline: used by this thread only, from `start` on.
        listeners: by source id; used by this thread only.
        tell: called in this thread with every step.
        on_alive: called in this thread each time round, at least every half second; feeds the watchdog.
        on_failure: called in this thread with the exception that ended it.
    """

    def __init__(
        self,
        intake: BlockSource,
        pipeline: Pipeline,
        listeners: Mapping[str, SourceListener],
        tell: Callable[[Step], None],
        *,
        on_alive: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._intake = intake
        self._pipeline = pipeline
        self._listeners = listeners
        self._tell = tell
        self._on_alive = on_alive
        self._on_failure = on_failure
        self._requests: queue.SimpleQueue[Callable[[], list[Fact]]] = queue.SimpleQueue()
        self._ended: set[str] = set()
        self._began_s: dict[str, float] = {}  # when each source's stream had its first block
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inference", daemon=True)
        self._gathered: list[Heard] = []
        self._audio_s = self._work_s = 0.0
        self._hops = 0
        self._told_at = 0.0
        self._companion_listener = CompanionListener(self._wall)
        self._companion_events: list[CompanionEvent] = []

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take what still waits, end every stream, tell it, and return when the thread has ended."""
        self._stopping.set()
        self._thread.join()

    def set_point(self, source: str, label: str, point: OperatingPoint | None) -> None:
        """Use another operating point from the next step on; None stops listening for the label."""
        self._requests.put(lambda: self._pipeline.set_point(source, label, point))

    def end_stream(self, source: str) -> None:
        """End the source's stream and what is open in it, because no more audio comes for now.

        A stream that began after this call goes on: the source is back already.
        """
        asked_s = time.monotonic()
        self._requests.put(lambda: self._end(source) if self._began_s.get(source, asked_s) <= asked_s else [])

    def set_companion(self, companion: Companion | None) -> None:
        """Let another model hear the same from the next step on; None: nobody."""

        def work() -> list[Fact]:
            self._tell_gathered()
            self._pipeline.set_companion(companion)
            self._companion_listener = CompanionListener(self._wall)
            return []

        self._requests.put(work)

    def swap(self, on_done: Callable[[], None], is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Let the companion decide from the next step on, and the other beside it.

        Nothing happens, and nothing is called, when the companion has gone by then, or nobody wants it any more.

        Args:
            on_done: called in the thread.
            is_wanted: called in the thread right before.
        """

        def work() -> list[Fact]:
            if not is_wanted() or self._pipeline.companion is None or self._pipeline.companion.failure is not None:
                return []
            self._tell_gathered()  # what the companion heard until now was not the other one's
            facts = self._pipeline.swap()
            self._follow()
            on_done()
            return facts

        self._requests.put(work)

    def _follow(self) -> None:
        """The pipeline has another model."""
        manifest = self._pipeline.manifest
        for listener in self._listeners.values():
            listener.use_model(manifest.version)
        self._companion_listener = CompanionListener(self._wall)
        self._companion_events = []

    def _wall(self, source: str, stream: int, stream_s: float) -> datetime:
        return self._listeners[source].wall(stream, stream_s)

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._intake.wait(IDLE_WAIT_S)
                self._take()
            for source in self._listeners:
                self._requests.put(partial(self._end, source))
            self._take()
            self._tell_gathered()
        except Exception as error:  # noqa: BLE001 - the top of the thread
            _log.critical("inference failed: %s", error, exc_info=True)
            self._on_failure(error)

    def _take(self) -> None:
        for blocks in in_steps(self._intake.take(), STEP_S):
            self._step(partial(self._pipeline.push, blocks), blocks)
            self._on_alive()
        while not self._requests.empty():
            self._step(self._requests.get(), [])
        self._on_alive()

    def _step(self, work: Callable[[], list[Fact]], blocks: list[Block]) -> None:
        begin_s = time.perf_counter()
        self._began_s.update({block.source: block.end_monotonic_s for block in blocks if block.start_sample == 0})
        facts = work()
        heard = self._listen(blocks, facts)
        self._listen_beside()
        if self._pipeline.fallen_back is not None:
            self._follow()
        self._ended.update(block.source for block in blocks if block.last)
        heard.extend(self._listeners[source].end_stream() for source in self._ended)
        self._ended.clear()
        self._gathered.extend(heard)
        self._work_s += time.perf_counter() - begin_s
        self._audio_s += sum(len(block.samples) for block in blocks) / SAMPLE_RATE_HZ
        self._hops += sum(len(fact.posteriors) for fact in facts if isinstance(fact, Frames))
        urgent = any(one.events or one.named or one.clips for one in heard) or self._pipeline.fallen_back is not None
        if urgent or time.monotonic() - self._told_at >= TELL_QUIET_EVERY_S:
            self._tell_gathered()

    def _end(self, source: str) -> list[Fact]:
        self._ended.add(source)
        return self._pipeline.flush(source)

    def _listen(self, blocks: list[Block], facts: list[Fact]) -> list[Heard]:
        blocks_by_source: dict[str, list[Block]] = defaultdict(list)
        facts_by_source: dict[str, list[Fact]] = defaultdict(list)
        for block in blocks:
            blocks_by_source[block.source].append(block)
        for fact in facts:
            facts_by_source[fact.source].append(fact)
        return [
            self._listeners[source].hear(blocks_by_source[source], facts_by_source[source])
            for source in {**blocks_by_source, **facts_by_source}
        ]

    def _listen_beside(self) -> None:
        companion = self._pipeline.companion
        if companion is not None:
            self._companion_events += self._companion_listener.hear(companion.take_facts())

    def _beside(self) -> CompanionStep | None:
        companion = self._pipeline.companion
        if companion is None:
            return None
        events, self._companion_events = tuple(self._companion_events), []
        work_s, companion.work_s = companion.work_s, 0.0
        version = companion.model.manifest.version
        return CompanionStep(version, events, companion.heard_s, work_s, companion.failure)

    def _tell_gathered(self) -> None:
        self._told_at = time.monotonic()
        fallen_back, self._pipeline.fallen_back = self._pipeline.fallen_back, None
        beside = self._beside()
        self._tell(Step(tuple(self._gathered), self._audio_s, self._work_s, self._hops, beside, fallen_back))
        self._gathered = []
        self._audio_s = self._work_s = 0.0
        self._hops = 0


def in_steps(blocks: Iterable[Block], step_s: float) -> Iterator[list[Block]]:
    """Cut what waits into steps with about `step_s` of audio of each source; blocks stay whole and in order."""
    step: list[Block] = []
    samples: dict[str, int] = defaultdict(int)
    for block in blocks:
        if samples[block.source] >= step_s * SAMPLE_RATE_HZ:
            yield step
            step, samples = [], defaultdict(int)
        step.append(block)
        samples[block.source] += len(block.samples)
    if step:
        yield step
