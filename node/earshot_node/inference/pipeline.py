"""Blocks of many sources in, facts out: one batched model call per step, one detector per stream.

    Block -> pending samples of its stream -> whole hops of all ready streams in one batch -> model
          -> posteriors -> that stream's detector -> Frames, Onset, KindTold, Offset

A stream number that changes, or a sample position that does not follow on, means lost audio: the open events end, model
and detector start anew.
"""

import copy
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.audio.level import level_dbfs
from earshot_node.contract.manifest import BundleManifest
from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.companion import Companion, Row, Side, checked
from earshot_node.inference.detector import Decision, Detector, fact_of
from earshot_node.inference.facts import Fact, Frames, KindTold, StreamReset
from earshot_node.inference.kind_watch import KindWatch
from earshot_node.inference.model import ModelOutput, ModelState, StreamingModel
from earshot_node.inference.siren_kind import KindCollector

_log = logging.getLogger(__name__)

MAX_HOPS_PER_CALL = 250
Points = Mapping[str, OperatingPoint]


class _Stream:
    """What the pipeline keeps of one stream of one source."""

    def __init__(self, block: Block, detector: Detector, state: ModelState, kinds: KindCollector) -> None:
        self.source = block.source
        self.number = block.stream
        self.detector = detector
        self.state = state
        self.kinds = kinds
        self.watch: KindWatch | None = None
        self.origin_s = block.start_sample / SAMPLE_RATE_HZ
        self.next_sample = block.start_sample
        self.frame = 0
        self.last = False
        self._pending: list[Samples] = []
        self._pending_samples = 0

    def append(self, block: Block) -> None:
        self._pending.append(block.samples)
        self._pending_samples += len(block.samples)
        self.next_sample = block.end_sample
        self.last = self.last or block.last

    def ready_hops(self, hop_samples: int) -> int:
        return self._pending_samples // hop_samples

    def take(self, samples: int) -> Samples:
        joined = self._pending[0] if len(self._pending) == 1 else np.concatenate(self._pending)
        rest = joined[samples:]
        self._pending = [rest] if len(rest) else []
        self._pending_samples = len(rest)
        return joined[:samples]

    def facts(self, decisions: Iterable[Decision]) -> list[Fact]:
        """Name the kind of sirens, as they sound and when they end, and place all that in the stream's time."""
        facts: list[Fact] = []
        for decision in decisions:
            facts += self.told_kind(decision.decided_s)
            facts.append(fact_of(self.source, self.number, self.origin_s, self._name_kind(decision)))
        return facts

    def told_kind(self, until_s: float) -> list[KindTold]:
        """Say the kind of the siren that sounds, if it has become clear by `until_s` after the stream's origin."""
        watch = self.watch
        told_s = watch.advance(self.kinds, until_s) if watch is not None else None
        if watch is None or told_s is None:
            return []
        onset_s, decided_s = self.origin_s + watch.onset_s, self.origin_s + told_s
        return [KindTold(self.source, self.number, onset_s, watch.kind, decided_s)]

    def _name_kind(self, decision: Decision) -> Decision:
        event = decision.event
        if event.label != SIREN:
            return decision
        until_s = decision.decided_s if event.offset_s is None else event.offset_s
        kind = self.kinds.kind(event.onset_s, until_s, decision.decided_s)
        if event.offset_s is None:
            self.watch = KindWatch(event.onset_s, decision.decided_s, kind)
        elif self.watch is not None:
            kind = self.watch.kind if kind == "unknown" else kind
            self.watch = None
        return replace(decision, event=replace(event, kind=kind))

    def row(self) -> Row:
        """Where the stream is."""
        return Row(self.source, self.number, self.origin_s, self.frame)


class Pipeline:
    """The signal path of all sources.

    Args:
        model: a loaded model.
        points: gives the operating points (label -> point) with which a source begins; a label without one is not
            listened for.
    """

    def __init__(self, model: StreamingModel, points: Callable[[str], Points]) -> None:
        self._model = model
        self._hop_samples = model.manifest.hop_samples
        self._points = points
        self._streams: dict[str, _Stream] = {}
        self._companion: Companion | None = None
        self.fallen_back: Exception | None = None
        """Why the companion has taken over by itself."""

    @property
    def manifest(self) -> BundleManifest:
        """Of the model that decides."""
        return self._model.manifest

    @property
    def companion(self) -> Companion | None:
        """The model that hears the same."""
        return self._companion

    def set_companion(self, companion: Companion | None) -> None:
        """Let a model hear the same from the next hop on, with a state that knows nothing yet; None: nobody.

        Raises:
            ValueError: it does not decide every as many samples.
        """
        if companion is not None:
            if companion.model.manifest.hop_samples != self._hop_samples:
                raise ValueError("a companion must have the pipeline's hop")
            for stream in self._streams.values():
                companion.begin(stream.row(), whole=stream.frame == 0)
        self._companion = companion

    def swap(self) -> list[Fact]:
        """Let the companion decide from the next hop on, and the model that did so far go on beside it.

        No hop is left out or judged twice. Detectors stay, with the new model's operating points: an event that is open
        goes on under its id as long as the new model hears it, and a cooldown goes on.

        Raises:
            ValueError: there is no companion.
        """
        new = self._companion
        if new is None:
            raise ValueError("there is no companion")
        former = Companion(self._model, self._points, stands_by=not new.stands_by)
        facts: list[Fact] = []
        for source, stream in self._streams.items():
            side = new.side(source)
            state, detector = stream.state, copy.deepcopy(stream.detector)
            former.put(source, Side(stream.number, stream.origin_s, state, detector, stream.frame, whole=True))
            stream.state = side.state
            stream.kinds = _kind_collector(new.model.manifest, stream.frame)
            points = new.points(source)
            facts += stream.facts(stream.detector.follow(new.model.manifest.labels, points, stream.frame))
        self._model, self._points, self._companion = new.model, new.points, former
        return facts

    def push(self, blocks: Iterable[Block]) -> list[Fact]:
        """Take blocks of any length, any number and any mix of sources; return the facts they establish, in order."""
        facts: list[Fact] = []
        for block in blocks:
            stream = self._streams.get(block.source)
            if stream is None or block.stream != stream.number or block.start_sample != stream.next_sample:
                facts.extend(self._begin(block))
                stream = self._streams[block.source]
            stream.append(block)
            if stream.last:
                facts.extend(self._advance())
                facts.extend(self.flush(block.source))
        facts.extend(self._advance())
        return facts

    def flush(self, source: str) -> list[Fact]:
        """End the source's stream and what is open in it; samples that do not fill a hop are dropped."""
        stream = self._streams.pop(source, None)
        if self._companion is not None:
            self._companion.end(source)
        return stream.facts(stream.detector.flush()) if stream is not None else []

    def set_point(self, source: str, label: str, point: OperatingPoint | None) -> list[Fact]:
        """Use another operating point of a source's label from now on; None stops listening for it."""
        stream = self._streams.get(source)
        if stream is None:
            return []
        if self._companion is not None:
            self._companion.set_point(source, label, stream.frame)
        return stream.facts(stream.detector.set_point(label, point, stream.frame))

    def _begin(self, block: Block) -> list[Fact]:
        facts = [*self._advance(), *self.flush(block.source)]
        manifest = self._model.manifest
        detector = Detector(manifest.labels, self._points(block.source), manifest.hop_s)
        stream = _Stream(block, detector, self._model.initial_state(), _kind_collector(manifest))
        self._streams[block.source] = stream
        if self._companion is not None:
            self._companion.begin(stream.row(), whole=True)
        return [*facts, StreamReset(block.source, block.stream)]

    def _advance(self) -> list[Fact]:
        facts: list[Fact] = []
        while ready := [s for s in self._streams.values() if s.ready_hops(self._hop_samples)]:
            hops = min(MAX_HOPS_PER_CALL, *(stream.ready_hops(self._hop_samples) for stream in ready))
            rows = [stream.take(hops * self._hop_samples) for stream in ready]
            samples = rows[0][None] if len(rows) == 1 else np.stack(rows)
            at = [stream.row() for stream in ready]
            output, fallen = self._run(ready, samples)
            facts += fallen
            manifest = self._model.manifest
            for row, stream in enumerate(ready):
                posteriors = output.posteriors[row]
                begin_s = stream.origin_s + stream.frame * manifest.hop_s
                stream.frame += hops
                stream.state = output.states[row]
                level = level_dbfs(samples[row])
                log_mel, range_hz, labels = output.log_mel[row], manifest.mel_range_hz, manifest.labels
                heard = Frames(stream.source, stream.number, begin_s, posteriors, log_mel, level, range_hz, labels)
                facts.append(heard)
                stream.kinds.push(log_mel)
                facts.extend(stream.facts(stream.detector.push(posteriors)))
                facts.extend(stream.told_kind(stream.frame * manifest.hop_s))
            if self._companion is not None:
                self._companion.advance(at, samples)
        return facts

    def _run(self, ready: list[_Stream], samples: Samples) -> tuple[ModelOutput, list[Fact]]:
        """Run the model; when it fails and another one stands by with the same audio heard, that one, from now on."""
        try:
            return checked(self._model.run(samples, [stream.state for stream in ready])), []
        except Exception as error:
            if self._companion is None or not self._companion.stands_by or self._companion.failure is not None:
                raise
            _log.error("model %s failed, the former one goes on: %s", self._model.manifest.version, error)
            self.fallen_back = error
            facts = self.swap()
            self._companion = None
            return self._model.run(samples, [stream.state for stream in ready]), facts


def _kind_collector(manifest: BundleManifest, frame: int = 0) -> KindCollector:
    mel_hop_s = manifest.mel_hop_samples / SAMPLE_RATE_HZ
    return KindCollector(mel_hop_s, frame * manifest.hop_s, manifest.mel_range_hz)
