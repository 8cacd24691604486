"""From pipeline facts to event messages: gives events their id, wall time, level and audio.

Left of here everything counts samples and frames; here wall time is attached, once. Used by the inference thread only.
"""

import uuid
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.audio.level import SILENCE_DBFS
from earshot_node.clips.cutter import ClipCutter, Cut
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import EventMessage
from earshot_node.contract.names import SIREN
from earshot_node.inference.facts import Fact, Frames, KindTold, Offset, Onset, SoundEvent, StreamReset
from earshot_node.inference.timing import StreamClock
from earshot_node.spectrogram.sketch import Sketch, Sketcher

_LEVELS_KEPT = 750
"""Half a minute of hops: the longest minimum length, over which an onset looks back for its loudest level."""


@dataclass(frozen=True, slots=True)
class CutClip:
    """Audio around an event: the samples, the wall time of the first, and the latest message about the event."""

    cut: Cut
    begin: datetime
    event: EventMessage


@dataclass(frozen=True, slots=True)
class Heard:
    """What one step established for one source, ready to be told.

    Attributes:
        events: onsets and offsets in order.
        named: messages of sirens that last, with the kind that has become clear since their onset.
        clips: clips that are complete.
        levels_dbfs: level of each run of frames, with its number of hops.
        peaks: highest posterior by label.
        sketches: what pictures of events are to be drawn from.
    """

    source: str
    events: tuple[EventMessage, ...] = ()
    named: tuple[EventMessage, ...] = ()
    clips: tuple[CutClip, ...] = ()
    levels_dbfs: tuple[tuple[float, int], ...] = ()
    peaks: dict[str, float] = field(default_factory=dict)
    sketches: tuple[Sketch, ...] = ()


@dataclass(slots=True)
class _OpenEvent:
    message: EventMessage
    stream: int
    onset_s: float


class SourceListener:
    """Attaches identity, time, level and audio to the facts of one source.

    Args:
        config: the node's configuration; `source` is the id of one of its sources.
        hop_s: seconds between frames.
        model_version: for the messages.
    """

    def __init__(self, config: NodeConfig, source: str, hop_s: float, model_version: str) -> None:
        described = next(one for one in config.sources if one.id == source)
        self._node = config.node.id
        self._source = source
        self._source_name = described.name or described.id
        self._hop_s = hop_s
        self._model_version = model_version
        self._cutter = ClipCutter(config.clips) if config.clips.store != "off" else None
        self._sketcher = Sketcher() if config.spectrogram.enabled else None
        self._clocks: dict[int, StreamClock] = {}
        self._levels: deque[tuple[float, float]] = deque(maxlen=_LEVELS_KEPT)
        self._open: dict[str, _OpenEvent] = {}
        self._latest: dict[str, EventMessage] = {}
        self._blocks: list[Block] = []
        self._stream_before = 0

    def use_model(self, version: str) -> None:
        """Take the facts of another model from now on; an event that is open keeps the model that raised it."""
        self._model_version = version

    def wall(self, stream: int, stream_s: float) -> datetime:
        """Return the wall time of a position in a stream that was heard in the last call of `hear`.

        Raises:
            LookupError: the stream is forgotten, or has no time yet.
        """
        return self._wall(stream, stream_s)

    def hear(self, blocks: Iterable[Block], facts: Iterable[Fact]) -> Heard:
        """Take a step's blocks of this source, and the facts of this source that followed from them."""
        blocks = self._blocks = list(blocks)
        for block in blocks:
            self._clocks.setdefault(block.stream, StreamClock()).push(block)
        events: list[EventMessage] = []
        named: list[EventMessage] = []
        levels: list[tuple[float, int]] = []
        peaks: dict[str, float] = {}
        cuts: list[Cut] = []
        sketches: list[Sketch] = []
        for fact in facts:
            match fact:
                case Frames():
                    sketches += self._sketch(fact)
                    levels.append((fact.level_dbfs, len(fact.posteriors)))
                    self._levels.append((fact.begin_s + len(fact.posteriors) * self._hop_s, fact.level_dbfs))
                    for label, peak in zip(fact.labels, fact.posteriors.max(axis=0).tolist(), strict=True):
                        peaks[label] = max(peak, peaks.get(label, 0.0))
                case Onset():
                    events.append(self._begin(fact))
                case KindTold():
                    named.append(self._name(fact))
                case Offset():
                    message, complete, last = self._end(fact)
                    events.append(message)
                    cuts += complete
                    sketches += last
                case StreamReset():
                    self._levels.clear()
                    if self._sketcher is not None:
                        self._sketcher.reset()
        if self._cutter is not None:
            for block in blocks:
                cuts.extend(self._cutter.push(block))
        clips = tuple(self._describe(cut) for cut in cuts)
        self._forget(blocks[-1].stream if blocks else None)
        return Heard(self._source, tuple(events), tuple(named), clips, tuple(levels), peaks, tuple(sketches))

    def end_stream(self) -> Heard:
        """No more audio comes for now: return the clips that wait for their post-roll, as far as they go."""
        cuts = self._cutter.flush() if self._cutter is not None else []
        return Heard(self._source, clips=tuple(self._describe(cut) for cut in cuts))

    def _sketch(self, fact: Frames) -> list[Sketch]:
        if self._sketcher is None:
            return []
        mel_hop_s = len(fact.posteriors) * self._hop_s / len(fact.log_mel)
        return self._sketcher.push(fact.begin_s, fact.log_mel, mel_hop_s, fact.mel_range_hz)

    def _begin(self, fact: Onset) -> EventMessage:
        event = fact.event
        message = EventMessage(
            id=uuid.uuid4().hex,
            phase="onset",
            event_type=event.label,
            kind=event.kind,
            node=self._node,
            source=self._source,
            source_name=self._source_name,
            onset=self._wall(fact.stream, event.onset_s),
            decided=self._decided(fact),
            peak=round(event.peak, 4),
            confidence=round(event.peak * 100),
            level_dbfs=self._loudest(event),
            model=self._model_version,
        )
        self._open[event.label] = _OpenEvent(message, fact.stream, event.onset_s)
        self._latest[message.id] = message
        if self._cutter is not None:
            self._cutter.begin(message.id, fact.stream, event.onset_s)
        if self._sketcher is not None:
            self._sketcher.begin(message, event.onset_s, fact.decided_s)
        return message

    def _name(self, fact: KindTold) -> EventMessage:
        message = self._open[SIREN].message.model_copy(update={"kind": fact.kind})
        self._open[SIREN].message = message
        if message.id in self._latest:
            self._latest[message.id] = message
        if self._sketcher is not None:
            self._sketcher.update(message)
        return message

    def _end(self, fact: Offset) -> tuple[EventMessage, list[Cut], list[Sketch]]:
        event = fact.event
        assert event.offset_s is not None
        message = self._open.pop(event.label).message
        message = message.model_copy(
            update={
                "phase": "offset",
                "offset": self._wall(fact.stream, event.offset_s),
                "decided": self._decided(fact),
                "duration_s": round(event.offset_s - event.onset_s, 3),
                "kind": event.kind,
                "peak": round(event.peak, 4),
                "confidence": round(event.peak * 100),
                "level_dbfs": max(message.level_dbfs, self._loudest(event)),
            }
        )
        if message.id in self._latest:
            self._latest[message.id] = message
        cuts = self._cutter.end(message.id, event.offset_s) if self._cutter is not None else []
        return message, cuts, self._sketcher.end(message, event.offset_s) if self._sketcher is not None else []

    def _describe(self, cut: Cut) -> CutClip:
        event = self._latest.pop(cut.key)
        return CutClip(cut, self._wall(cut.stream, cut.begin_s), event)

    def _loudest(self, event: SoundEvent) -> float:
        inside = (level for end_s, level in self._levels if end_s > event.onset_s)
        return round(max(inside, default=SILENCE_DBFS), 1)

    def _decided(self, fact: Onset | Offset) -> datetime:
        """Wall time of the end of the block that holds the deciding sample."""
        sample = round(fact.decided_s * SAMPLE_RATE_HZ)
        holding = (one for one in self._blocks if one.stream == fact.stream and one.end_sample >= sample)
        block = next(holding, None)
        return (
            self._wall(fact.stream, fact.decided_s) if block is None else datetime.fromtimestamp(block.end_wall_s, UTC)
        )

    def _wall(self, stream: int, stream_s: float) -> datetime:
        return datetime.fromtimestamp(self._clocks[stream].wall_s(stream_s), UTC)

    def _forget(self, current: int | None) -> None:
        """Drop clocks, and without a cutter the messages that wait for a clip.

        Streams that ended in this call keep theirs until the next one: a model beside the deciding one is listened to
        afterwards.
        """
        if current is not None:
            self._clocks = {stream: clock for stream, clock in self._clocks.items() if stream >= self._stream_before}
            self._stream_before = current
        if self._cutter is None:
            self._latest.clear()
