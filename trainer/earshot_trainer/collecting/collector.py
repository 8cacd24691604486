"""Collects from all nodes at once. A cut at any point repeats harmlessly.

Audio is fetched into `incoming`, checked, stored by its hash, made visible by its row in the catalogue, and only then
acknowledged to the node. A recording that cannot be had holds up no other. A node is left where none of its recordings
can be had: it is away, does not let the trainer in, or there is no room here.
"""

import asyncio
import contextlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import aiohttp

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.deployment.durable import remove_file
from earshot_node.errors import EarshotError, PeerError, RetryError
from earshot_trainer.catalogue.library import Library, Outcome
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.collecting.node_http import TIMEOUT, GoneError, LabelledMeanwhileError, NodeHttp, StrangerError

NODES_AT_ONCE: Final = 8
USER_AGENT: Final = "earshot-trainer collect"


@dataclass(frozen=True, slots=True)
class Missing:
    """A recording that was not collected, though its node is there.

    Attributes:
        recording: its id.
        problem: why, one line.
    """

    recording: str
    problem: str


@dataclass(frozen=True, slots=True)
class NodeResult:
    """What became of one node's recordings.

    Attributes:
        stored: new ones.
        known: of which this content was here before.
        labelled: known ones that have a newer labelling now.
        came_bytes: audio that came over the network.
        problem: why not all of them are here, one line; '' when all are.
        missing: those that were asked for in vain, in order of time.
        broke_off: whether the node was left before all were asked for.
    """

    node: str
    stored: int = 0
    known: int = 0
    labelled: int = 0
    came_bytes: int = 0
    problem: str = ""
    missing: tuple[Missing, ...] = ()
    broke_off: bool = False


@dataclass(slots=True)
class _Visit:
    """What has become of one node's recordings so far."""

    name: str
    waiting: int = 0
    missing: list[Missing] = field(default_factory=list)
    _outcomes: Counter[Outcome] = field(default_factory=Counter)
    _came_bytes: int = 0

    def count(self, outcome: Outcome, came_bytes: int) -> None:
        """One is here now."""
        self._outcomes[outcome] += 1
        self._came_bytes += came_bytes

    def ended(self, why: str = "") -> NodeResult:
        """Return the result; `why` the visit broke off, '' if it did not."""
        missing = len(self.missing)
        in_vain = f"{missing} of {self.waiting} recordings could not be collected" if missing else ""
        return NodeResult(
            self.name,
            stored=self._outcomes["stored"],
            known=self._outcomes["duplicate"] + self._outcomes["labelled"],
            labelled=self._outcomes["labelled"],
            came_bytes=self._came_bytes,
            problem="; ".join(text for text in (why, in_vain) if text),
            missing=tuple(self.missing),
            broke_off=bool(why),
        )


@dataclass(frozen=True, slots=True)
class Progress:
    """How far one node is, in bytes of audio."""

    node: str
    done_bytes: int
    total_bytes: int


@dataclass(frozen=True, slots=True)
class Collector:
    """Brings recordings home.

    Attributes:
        members: told when a node was emptied.
        library: where recordings become visible.
        audio: where their audio is kept.
        incoming: folder for what is not whole yet.
        on_progress: told after every piece.
        one_at_a_time: by content, for two nodes that offer the same.
    """

    members: Members
    library: Library
    audio: AudioStore
    incoming: Path
    on_progress: Callable[[Progress], None] = lambda _: None
    one_at_a_time: defaultdict[str, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def collect(self, nodes: Sequence[Member]) -> list[NodeResult]:
        """Collect from each; what goes wrong with one is in its result and holds up no other."""
        gate = asyncio.Semaphore(NODES_AT_ONCE)
        async with _session() as session:

            async def one(member: Member) -> NodeResult:
                async with gate:
                    return await self._collect_one(NodeHttp(session, member), member.id)

            return list(await asyncio.gather(*(one(member) for member in nodes)))

    async def tell_labels(self, nodes: Sequence[Member], labels: Sequence[str]) -> dict[str, str]:
        """Tell nodes what recordings are labelled with; return, by node, why it does not know, one line."""
        problems: dict[str, str] = {}
        async with _session() as session:

            async def one(member: Member) -> None:
                try:
                    await NodeHttp(session, member).tell_labels(labels)
                except EarshotError as error:
                    problems[member.id] = str(error)

            await asyncio.gather(*(one(member) for member in nodes))
        return problems

    async def _collect_one(self, node: NodeHttp, name: str) -> NodeResult:
        visit = _Visit(name)
        try:
            waiting = await node.uncollected()
            visit.waiting = len(waiting)
            total, done = sum(info.size_bytes for info in waiting), 0
            self.on_progress(Progress(name, 0, total))
            for info in waiting:

                def tell(have: int, before: int = done) -> None:
                    self.on_progress(Progress(name, before + have, total))

                await self._try_to_bring(node, visit, info, tell)
                done += info.size_bytes
                self.on_progress(Progress(name, done, total))
            if not visit.missing:
                await asyncio.to_thread(self.members.note_collection, name, datetime.now(UTC))
        except EarshotError as error:
            return visit.ended(str(error))
        return visit.ended()

    async def _try_to_bring(
        self, node: NodeHttp, visit: _Visit, info: RecordingInfo, tell: Callable[[int], None]
    ) -> None:
        """Bring a recording, or note why it is missing.

        Raises:
            EarshotError: no other can be had either.
        """
        try:
            await self._bring(node, visit, info, tell)
        except (PeerError, RetryError) as error:
            why = await _why_only_this(error, node, info)
            if not why:
                raise
            visit.missing.append(Missing(info.id, why))

    async def _bring(self, node: NodeHttp, visit: _Visit, info: RecordingInfo, tell: Callable[[int], None]) -> None:
        async with self.one_at_a_time[info.sha256]:
            came = await self._store(node, visit.name, info, tell)
            visit.count(await self._keep(info, visit.name, came), came)
        with contextlib.suppress(GoneError):  # it is safe here, and the node has made room
            await self._acknowledge(node, visit.name, info)

    async def _acknowledge(self, node: NodeHttp, name: str, info: RecordingInfo) -> None:
        try:
            await node.acknowledge(info)
        except LabelledMeanwhileError:
            newer = await node.show(info.id)
            if newer.sha256 == info.sha256 and newer.node == name:
                await self._keep(newer, name, 0)
                with contextlib.suppress(LabelledMeanwhileError):  # and again; then the next collection gets it
                    await node.acknowledge(newer)

    async def _store(self, node: NodeHttp, name: str, info: RecordingInfo, tell: Callable[[int], None]) -> int:
        """Return how many bytes came for it; none when its content is here already."""
        if await asyncio.to_thread(self.audio.has, info.sha256):
            return 0
        path = self.incoming / f"{name}-{info.sha256}"
        came = await node.fetch(info, path, tell)
        await asyncio.to_thread(self.audio.put, info.sha256, path)
        await asyncio.to_thread(remove_file, path)
        return came

    async def _keep(self, info: RecordingInfo, name: str, came: int) -> Outcome:
        return await asyncio.to_thread(self.library.keep, info, name, came, datetime.now(UTC))


def _session() -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(timeout=TIMEOUT, connector=connector, headers={"User-Agent": USER_AGENT})


async def _why_only_this(error: EarshotError, node: NodeHttp, info: RecordingInfo) -> str:
    """Return why one recording cannot be had, '' where none of the node can.

    A node that broke off is asked for something small: if it answers, it is there, and only cannot give this one.
    """
    if isinstance(error, RetryError):
        try:
            await node.show(info.id)
        except EarshotError as answer:
            error = answer
        else:
            return f"{str(error).removeprefix('away: ')}; yet the node is there"
    is_of_one = isinstance(error, PeerError) and not isinstance(error, StrangerError)
    return str(error) if is_of_one else ""
