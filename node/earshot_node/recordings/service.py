"""Recordings of a running node: takes from the stream that it hears anyway, clips of events, and their store."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TypeVar

from earshot_node.audio.block import Block
from earshot_node.audio.intake import SourceStatus
from earshot_node.clips.clip import Clip
from earshot_node.clips.store import ClipStore
from earshot_node.contract.config import NodeConfig, Source
from earshot_node.contract.labels import LabelSet
from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo, RecordingsReport
from earshot_node.errors import OperatorError, SourceError
from earshot_node.recordings.draft import Draft, draft_from_clip, draft_from_samples
from earshot_node.recordings.entry import Entry
from earshot_node.recordings.errors import ConflictError, UnknownRecordingError
from earshot_node.recordings.labels import count_labels, household_labels, keep_told_labels, known_labels
from earshot_node.recordings.pending import PendingTakes
from earshot_node.recordings.store import RecordingStore, recordings_folder
from earshot_node.recordings.take import NO_AUDIO_AFTER_S, Progress, TakeRecorder
from earshot_node.recordings.tap import StreamTap

_log = logging.getLogger(__name__)
T = TypeVar("T")

REFRESH_EVERY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Finished:
    """A take is complete and waits for its labelling."""

    take_id: str
    draft: Draft


class RecordingService:
    """Lives in the event loop; the disk is waited for in a thread of its own.

    Args:
        config: the node's.
        state_dir: its state folder.
        clips: audio around events, None if there is none.
        tap: hears all sources.
        status: tells how a source is.

    Attributes:
        labels: what recordings may be labelled with: the configured ones and those that the trainer told last.
        on_report: called in the loop when the recordings have changed.
        on_labels: called in the loop when `labels` have changed.
    """

    def __init__(
        self,
        config: NodeConfig,
        state_dir: Path,
        clips: ClipStore | None,
        tap: StreamTap,
        *,
        status: Callable[[str], SourceStatus],
    ) -> None:
        self.config = config
        self.sources: dict[str, Source] = {source.id: source for source in config.sources}
        self.store = RecordingStore(recordings_folder(config, state_dir), config.recordings)
        self.labels = household_labels(config, self.store.folder)
        self._clips = clips
        self._tap = tap
        self.status = status
        self.on_report: Callable[[RecordingsReport], None] = lambda _: None
        self.on_labels: Callable[[], None] = lambda: None
        self._pending = PendingTakes()
        self._recording: set[str] = set()
        self._disk = ThreadPoolExecutor(1, thread_name_prefix="recordings")
        self._told: RecordingsReport | None = None
        self._problem = ""

    async def run(self) -> None:
        """Tell how the recordings stand and delete what is past its retention, for ever."""
        while True:
            self._problem = ""
            try:
                await self.on_disk(self.store.expire)
            except (OperatorError, OSError) as error:
                self._problem = str(error)
            try:
                await self.report()
            except OSError as error:  # told by the next report that can be made
                _log.warning("recordings: the folder cannot be read: %s", error)
            await asyncio.sleep(REFRESH_EVERY_S)

    def close(self) -> None:
        """Finish what was begun; blocks until the disk has it."""
        self._disk.shutdown()

    async def record(
        self, source: str, seconds: float, countdown_s: float = 0.0
    ) -> AsyncGenerator[Progress | Finished, None]:
        """Record a take; yields how it goes and at last the take, which `keep` puts into the store.

        Raises:
            UnknownRecordingError: the node has no such source.
            ConflictError: a take of this source is being recorded.
            NoRoomError: it could not be kept.
            SourceError: no audio comes.
        """
        if source not in self.sources:
            raise UnknownRecordingError(f"this node has no source {source!r}; it has {', '.join(self.sources)}")
        if source in self._recording:
            raise ConflictError(f"{source}: another take is being recorded; wait until it is complete")
        self._recording.add(source)
        try:
            await self.on_disk(self.store.make_sure_of_room)
            recorder = TakeRecorder(seconds, countdown_s)
            loop = asyncio.get_running_loop()
            blocks: asyncio.Queue[Block] = asyncio.Queue()
            with self._tap.listening(source, lambda block: _hand_over(loop, blocks, block)):
                while (take := recorder.take) is None:
                    yield recorder.push(await self._next(blocks, source))
            described = self.sources[source]
            draft = await asyncio.to_thread(draft_from_samples, take.pcm, take.begin, self.config.node.id, described)
            yield Finished(self._pending.add(draft), draft)
        finally:
            self._recording.discard(source)

    async def keep(self, take_id: str, labelling: Labelling) -> RecordingInfo:
        """Put a take into the store.

        Raises:
            UnknownRecordingError: there is no such take.
            NoRoomError: it cannot be kept; the take stays where it is.
        """
        info = await self.add(self._pending.get(take_id), labelling)
        self._pending.drop(take_id)
        return info

    def drop(self, take_id: str) -> None:
        """Forget a take."""
        self._pending.drop(take_id)

    async def label_event(self, event_id: str, labelling: Labelling) -> RecordingInfo:
        """Make a labelled recording of an event's clip, or label the one that there is.

        Raises:
            UnknownRecordingError: there is no clip of this event.
            NoRoomError: it cannot be kept.
        """
        known = await self.on_disk(lambda: self.store.of_event(event_id))
        if known is not None:
            info = await self.on_disk(lambda: self.store.label(known.info.id, labelling))
            await self.report()
            return info
        return await self.add(await self.draft_of_event(event_id), labelling)

    async def clip(self, event_id: str) -> Clip | None:
        """Return the clip of an event, None if there is none (any more)."""
        clips = self._clips
        return await self.on_disk(lambda: clips.find(event_id)) if clips is not None else None

    async def draft_of_event(self, event_id: str) -> Draft:
        """Return the clip of an event as a recording to be.

        Raises:
            UnknownRecordingError: there is none.
        """
        clip = await self.clip(event_id)
        if clip is None:
            why = (
                "clips are off"
                if self._clips is None
                else "clips are kept for a while only, see `clips` in the configuration"
            )
            raise UnknownRecordingError(f"there is no clip of event {event_id[:64]!r}; {why}")
        source = self.sources.get(clip.info.event.source)
        return await asyncio.to_thread(draft_from_clip, clip, self.config.node.id, source)

    async def add(self, draft: Draft, labelling: Labelling | None, candidate: Candidate | None = None) -> RecordingInfo:
        """Put a recording into the store and tell.

        Raises:
            NoRoomError: it cannot be kept.
        """
        try:
            info = await self.on_disk(lambda: self.store.add(draft, labelling, candidate))
        except OperatorError as error:
            self._problem = str(error)
            await self.report()
            raise
        self._problem = ""
        what = labelling.title if labelling is not None else "candidate"
        _log.info("%s: %.1f s recorded as %s, %s", info.source, info.duration_s, what, info.id)
        await self.report()
        return info

    async def entries(self) -> list[Entry]:
        """Return all recordings by time."""
        return await self.on_disk(self.store.entries)

    async def known_labels(self) -> tuple[str, ...]:
        """Return what may be recorded without asking."""
        return known_labels(self.labels, await self.entries())

    async def take_labels(self, told: LabelSet) -> None:
        """The trainer tells what recordings are labelled with in its fleet; that may be recorded without asking.

        Raises:
            OperatorError: the disk refuses it.
        """
        await self.on_disk(lambda: keep_told_labels(self.store.folder, told))
        labels = await self.on_disk(lambda: household_labels(self.config, self.store.folder))
        if labels != self.labels:
            self.labels = labels
            self.on_labels()

    async def report(self, problem: str | None = None) -> None:
        """Tell how the recordings stand, if that has changed; `problem` replaces what went wrong last."""
        if problem is not None:
            self._problem = problem
        report = make_report(await self.entries(), self._problem or await self.on_disk(self.store.refusal))
        if self._told is None or report.model_copy(update={"time": self._told.time}) != self._told:
            self._told = report
            self.on_report(report)

    async def on_disk(self, action: Callable[[], T]) -> T:
        """Run `action` in the thread that waits for the disk."""
        return await asyncio.get_running_loop().run_in_executor(self._disk, action)

    async def _next(self, blocks: asyncio.Queue[Block], source: str) -> Block:
        try:
            return await asyncio.wait_for(blocks.get(), NO_AUDIO_AFTER_S)
        except TimeoutError as error:
            status = self.status(source)
            raise SourceError(f"{source}: no audio comes: {status.problem or status.state}") from error


def make_report(entries: list[Entry], problem: str) -> RecordingsReport:
    """Sum up recordings."""
    return RecordingsReport(
        waiting=sum(entry.is_waiting for entry in entries),
        candidates=sum(entry.is_candidate for entry in entries),
        collected=sum(entry.collected is not None for entry in entries),
        size_bytes=sum(entry.stored_bytes for entry in entries),
        labels=dict(sorted(count_labels(entries).items())),
        problem=problem,
        time=datetime.now(UTC),
    )


def _hand_over(loop: asyncio.AbstractEventLoop, blocks: "asyncio.Queue[Block]", block: Block) -> None:
    """Called in the inference thread."""
    try:
        loop.call_soon_threadsafe(blocks.put_nowait, block)
    except RuntimeError as error:  # the loop is closed: nobody waits for it any more
        _log.debug("block not handed over: %s", error)
