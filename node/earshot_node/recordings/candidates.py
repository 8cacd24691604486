"""Keeps moments unasked, if the owner turned that on: what was detected, and what was uncertain."""

import asyncio
import logging
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.clips.cutter import ClipCutter, Cut
from earshot_node.companion_listener import CompanionEvent
from earshot_node.contract.config import AutoSection, ClipsSection
from earshot_node.contract.messages import EventMessage
from earshot_node.contract.recordings import Candidate, RecordingInfo
from earshot_node.errors import EarshotError
from earshot_node.inference.timing import StreamClock
from earshot_node.listener import Heard
from earshot_node.recordings.budget import DayCount, Unasked
from earshot_node.recordings.draft import Draft, draft_from_samples
from earshot_node.recordings.errors import NotTurnedOnError
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

_log = logging.getLogger(__name__)

UNCERTAIN_EVERY_S: Final = 600.0
"""Of each source at most, so that a radio does not use up the day's budget before breakfast."""
FOLLOWED_EVERY_S: Final = 5.0
_BUDGET_SETTING: Final = "recordings.auto.per_day_s"


@dataclass(frozen=True, slots=True)
class Moment:
    """A finished piece of a source's audio."""

    cut: Cut
    begin: datetime


class MomentCutter:
    """Cuts the audio around the present moment of one source; `push` in the inference thread, `want` in any.

    Args:
        auto: pre-roll and post-roll.
        deliver: called in the inference thread with what is complete.
    """

    def __init__(self, auto: AutoSection, deliver: Callable[[Moment], None]) -> None:
        longest_s = max(1.0, auto.pre_roll_s + auto.post_roll_s)
        self._cutter = ClipCutter(
            ClipsSection(pre_roll_s=auto.pre_roll_s, post_roll_s=auto.post_roll_s, max_length_s=longest_s)
        )
        self._deliver = deliver
        self._clock = StreamClock()
        self._at: tuple[int, float] | None = None
        self._lock = threading.Lock()

    def push(self, block: Block) -> None:
        """Take the next block."""
        with self._lock:
            done = [self._dated(cut) for cut in self._cutter.push(block)]
            if self._at is None or self._at[0] != block.stream:
                self._clock = StreamClock()
            self._clock.push(block)
            self._at = (block.stream, block.end_sample / SAMPLE_RATE_HZ)
        for moment in done:
            self._deliver(moment)

    def want(self, key: str) -> bool:
        """Cut from the pre-roll before now to the post-roll after it; False if nothing was heard yet."""
        with self._lock:
            if self._at is None:
                return False
            self._cutter.begin(key, *self._at)
            self._cutter.end(key, self._at[1])
            return True

    def _dated(self, cut: Cut) -> Moment:
        return Moment(cut, datetime.fromtimestamp(self._clock.wall_s(cut.begin_s), UTC))


class Candidates:
    """Lives in the event loop.

    Args:
        service: keeps recordings.
        tap: hears all sources.
        model_version: for the candidates' JSON.
        has_clips: events have clips; without, what was detected is cut like what was uncertain.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        service: RecordingService,
        tap: StreamTap,
        model_version: str,
        *,
        has_clips: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._service = service
        self._auto = service.config.recordings.auto
        self._model_version = model_version
        self._has_clips = has_clips
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._open: set[tuple[str, str]] = set()
        self._wanted: dict[str, Candidate] = {}
        self._next_s: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._budget = asyncio.Lock()
        self._kept = DayCount(service.store.folder)
        self._full_on = ""
        self._followers: set[asyncio.Queue[tuple[RecordingInfo | None, str] | None]] = set()
        self._listening = ExitStack()
        self._cutters: dict[str, MomentCutter] = {}
        if self._auto.enabled:
            for source in service.sources:
                cutter = self._cutters[source] = MomentCutter(self._auto, self._cut_in_other_thread)
                self._listening.enter_context(tap.listening(source, cutter.push))

    def use_model(self, version: str) -> None:
        """Another model decides from now on."""
        self._model_version = version

    def hear(self, heard: Heard) -> None:
        """Take what a step established for one source."""
        if not self._auto.enabled:
            return
        for event in heard.events:
            self._note(event)
        for label, peak in heard.peaks.items():
            known = label in self._service.config.labels
            if known and peak >= self._auto.uncertain_from and (heard.source, label) not in self._open:
                self._want_uncertain(heard.source, label, peak)

    def hear_shadow(self, events: Iterable[CompanionEvent], version: str) -> None:
        """Take what a candidate in the shadow heard: where the active model hears nothing, a person should listen."""
        if not self._auto.enabled:
            return
        for event in events:
            is_onset = event.offset is None
            if is_onset and event.source not in self._wanted and not self._is_sounding(event.source):
                peak = round(event.peak, 4)
                self._want(
                    event.source, Candidate(reason="uncertain", label=event.label, posterior=peak, model=version)
                )

    def clip_kept(self, event: EventMessage) -> None:
        """The clip of an event is complete, and nobody has labelled it."""
        if self._auto.enabled:
            self._start(self._keep_event(event))

    async def follow(self) -> AsyncGenerator[Unasked, None]:
        """Tell how it stands at once, at everything that is kept from now on, and every few seconds; until `close`.

        Raises:
            NotTurnedOnError: nothing is kept.
        """
        if not self._auto.enabled:
            raise NotTurnedOnError
        news: asyncio.Queue[tuple[RecordingInfo | None, str] | None] = asyncio.Queue()
        self._followers.add(news)
        try:
            told: tuple[RecordingInfo | None, str] | None = (None, "")
            while told is not None:
                async with self._budget:
                    kept_s, _ = await self._kept_s(_today())
                yield Unasked(kept_s, self._auto.per_day_s, *told)
                try:
                    told = await asyncio.wait_for(news.get(), FOLLOWED_EVERY_S)
                except TimeoutError:
                    told = (None, "")
        finally:
            self._followers.discard(news)

    def tell(self, kept: RecordingInfo | None, problem: str = "") -> None:
        """Tell those who follow what was kept, or what went wrong."""
        for news in self._followers:
            news.put_nowait((kept, problem))

    async def finish(self) -> None:
        """Wait until what was begun is kept."""
        await asyncio.gather(*self._tasks)

    def close(self) -> None:
        """Keep nothing more."""
        self._listening.close()
        for task in self._tasks:
            task.cancel()
        for news in self._followers:
            news.put_nowait(None)

    def _note(self, event: EventMessage) -> None:
        key = (event.source, event.event_type)
        if event.phase == "offset":
            self._open.discard(key)
            return
        self._open.add(key)
        wanted = self._wanted.get(event.source)
        if wanted is not None and wanted.label == event.event_type:
            del self._wanted[event.source]  # it was the beginning of this event
        if not self._has_clips:
            self._want(event.source, self._candidate("detected", event.event_type, event.peak))

    def _is_sounding(self, source: str) -> bool:
        return any(sounding == source for sounding, _ in self._open)

    def _want_uncertain(self, source: str, label: str, peak: float) -> None:
        now_s = self._clock()
        if source not in self._wanted and now_s >= self._next_s.get(source, now_s):
            self._next_s[source] = now_s + UNCERTAIN_EVERY_S
            self._want(source, self._candidate("uncertain", label, peak))

    def _want(self, source: str, candidate: Candidate) -> None:
        if self._cutters[source].want(source):
            self._wanted[source] = candidate

    def _candidate(self, reason: Any, label: str, posterior: float) -> Candidate:
        return Candidate(reason=reason, label=label, posterior=round(posterior, 4), model=self._model_version)

    def _cut_in_other_thread(self, moment: Moment) -> None:
        try:
            self._loop.call_soon_threadsafe(self._cut, moment)
        except RuntimeError as error:  # the loop is closed
            _log.debug("moment lost: %s", error)

    def _cut(self, moment: Moment) -> None:
        candidate = self._wanted.pop(moment.cut.key, None)
        if candidate is not None and len(moment.cut.pcm):
            self._start(self._keep_moment(moment, candidate))

    async def _keep_moment(self, moment: Moment, candidate: Candidate) -> None:
        source = self._service.sources[moment.cut.key]
        node = self._service.config.node.id
        await self._keep(
            await asyncio.to_thread(draft_from_samples, moment.cut.pcm, moment.begin, node, source, "candidate"),
            candidate,
        )

    async def _keep_event(self, event: EventMessage) -> None:
        draft = await self._service.draft_of_event(event.id)
        await self._keep(draft, self._candidate("detected", event.event_type, event.peak))

    async def _keep(self, draft: Draft, candidate: Candidate) -> None:
        today = _today()
        async with self._budget:
            kept_s, of_label_s = await self._kept_s(today, candidate.label)
            share_s = self._auto.per_day_s / len(self._service.config.labels)
            left_s = min(self._auto.per_day_s - kept_s, share_s - of_label_s)
            fits = draft.duration_s <= left_s
            info = await self._service.add(draft, None, candidate) if fits else None
            if info is not None:
                await self._service.on_disk(lambda: self._kept.add(draft.duration_s))
        over = f"not kept: {draft.duration_s:.1f} s are more than is left of the day's budget ({_BUDGET_SETTING})"
        self.tell(info, "" if fits else over)
        if not fits and self._full_on != today:
            self._full_on = today
            _log.info("recordings: the day's budget of candidates is used up (%s)", _BUDGET_SETTING)

    async def _kept_s(self, today: str, label: str = "") -> tuple[float, float]:
        """Return how much was kept today, and how much of it for a label; only with the budget locked."""
        infos = [one.info for one in await self._service.entries() if one.info.id.startswith(today)]
        stored = [(info.candidate.label, info.duration_s) for info in infos if info.candidate is not None]
        stored_s = sum(duration_s for _, duration_s in stored)
        of_label_s = sum(duration_s for about, duration_s in stored if about == label)
        return await self._service.on_disk(lambda: self._kept.kept_s(today, stored_s)), of_label_s

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(self._guarded(work), name="candidate")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except EarshotError as error:
            _log.info("recordings: a candidate is not kept: %s", error)
            self.tell(None, f"not kept: {error}")


def _today() -> str:
    return f"{datetime.now(UTC):%Y%m%d}"
