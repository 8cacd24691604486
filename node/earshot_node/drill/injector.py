"""Mixes a drill's siren into a source's live blocks, between microphone and model."""

import math
import threading
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.audio.level import SILENCE_DBFS

if TYPE_CHECKING:
    from earshot_node.inference_thread import BlockSource


@dataclass(slots=True)
class Injection:
    """A siren on its way into a source; written by the inference thread, read by anybody.

    Attributes:
        source: the source's id.
        siren: float32[n].
        stream: which stream of the source it went into; None before the first block.
        begun_wall_s: Unix time of its first sample.
        begun_monotonic_s: `time.monotonic()` of its first sample.
        end_s: audio of the source until its last sample, since the node's start; None before that.
        interrupted: the source began another stream meanwhile; nothing more is mixed in.
    """

    source: str
    siren: Samples
    stream: int | None = None
    begun_wall_s: float = 0.0
    begun_monotonic_s: float = 0.0
    end_s: float | None = None
    interrupted: bool = False
    _mixed: int = 0
    _power: float = 0.0

    @property
    def background_dbfs(self) -> float | None:
        """Level of what else sounded, so far; None if nothing came."""
        if not self._mixed:
            return None
        mean = self._power / self._mixed
        return max(SILENCE_DBFS, 10 * math.log10(mean)) if mean > 0 else SILENCE_DBFS

    def mix(self, block: Block, taken_s: float) -> Block:
        """Return `block` with the next part of the siren; `taken_s` of the source's audio came before it."""
        if self.interrupted or self.end_s is not None:
            return block
        if self.stream is None:
            length_s = len(block.samples) / SAMPLE_RATE_HZ
            self.begun_wall_s = block.end_wall_s - length_s
            self.begun_monotonic_s = block.end_monotonic_s - length_s
            self.stream = block.stream
        elif self.stream != block.stream:
            self.interrupted = True
            return block
        part = self.siren[self._mixed : self._mixed + len(block.samples)]
        live = block.samples[: len(part)]
        self._power += float(np.dot(live, live))
        self._mixed += len(part)
        if self._mixed >= len(self.siren):
            self.end_s = taken_s + len(part) / SAMPLE_RATE_HZ
        mixed = block.samples.copy()
        mixed[: len(part)] += part
        return replace(block, samples=mixed)


class Injector:
    """A source of blocks that can mix something into one source at a time; `begin` and `stop` from any thread.

    Args:
        blocks: where they come from.
        hop_samples: of the model: what does not fill a hop at a stream's end is never judged, and not counted.
    """

    def __init__(self, blocks: "BlockSource", hop_samples: int) -> None:
        self._blocks = blocks
        self._hop_samples = hop_samples
        self._lock = threading.Lock()
        self._injection: Injection | None = None
        self._taken_samples: dict[str, int] = defaultdict(int)
        self._streams: dict[str, tuple[int, int]] = {}

    def begin(self, source: str, siren: Samples) -> Injection:
        """Mix `siren` in from the next block of `source` on; whatever was mixed in before ends."""
        with self._lock:
            self._injection = Injection(source, siren)
            return self._injection

    def stop(self) -> None:
        """Mix nothing in any more."""
        with self._lock:
            self._injection = None

    def taken_s(self, source: str) -> float:
        """Audio of a source that has come since the node's start."""
        return self._taken_samples[source] / SAMPLE_RATE_HZ

    def wait(self, timeout_s: float) -> bool:
        """See `BlockSource.wait`."""
        return self._blocks.wait(timeout_s)

    def take(self) -> list[Block]:
        """See `BlockSource.take`."""
        with self._lock:
            injection = self._injection
        return [self._pass(block, injection) for block in self._blocks.take()]

    def _pass(self, block: Block, injection: Injection | None) -> Block:
        stream, samples = self._streams.get(block.source, (block.stream, 0))
        if stream != block.stream:
            self._taken_samples[block.source] -= samples % self._hop_samples
            samples = 0
        self._streams[block.source] = (block.stream, samples + len(block.samples))
        if injection is not None and injection.source == block.source:
            block = injection.mix(block, self.taken_s(block.source))
        self._taken_samples[block.source] += len(block.samples)
        return block
