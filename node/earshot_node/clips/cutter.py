"""Cuts clips out of a stream: from onset minus pre-roll to offset plus post-roll. Counts samples, knows no clock."""

from collections.abc import Callable
from dataclasses import dataclass

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.contract.config import ClipsSection
from earshot_node.ring import Pcm, SampleRing

# An event is reported up to 30 s (the longest minimum length) after its onset, and blocks end where they like.
_MARGIN_S = 34.0


@dataclass(frozen=True, slots=True)
class Cut:
    """A finished piece of a stream.

    Attributes:
        key: what the caller named it by.
        stream: which stream of the source it is from.
        begin_s: stream time of the first sample.
        pcm: int16[n].
    """

    key: str
    stream: int
    begin_s: float
    pcm: Pcm


@dataclass(slots=True)
class _Wanted:
    key: str
    stream: int
    begin_sample: int
    end_sample: int


class ClipCutter:
    """Keeps one source's latest audio and cuts each event's clip as soon as its end is there.

    The longest clip is `max_length_s` (pre-roll and post-roll counted in); a longer event keeps its beginning.
    """

    def __init__(self, config: ClipsSection) -> None:
        self._pre_samples = round(config.pre_roll_s * SAMPLE_RATE_HZ)
        self._post_samples = round(config.post_roll_s * SAMPLE_RATE_HZ)
        self._max_samples = round(config.max_length_s * SAMPLE_RATE_HZ)
        self._ring = SampleRing(self._max_samples + round(_MARGIN_S * SAMPLE_RATE_HZ))
        self._stream = -1
        self._wanted: list[_Wanted] = []

    def push(self, block: Block) -> list[Cut]:
        """Take the next block; return the clips that it completes. A new stream ends the clips of the one before."""
        cuts: list[Cut] = []
        if block.stream != self._stream or block.start_sample != self._ring.end_sample:
            cuts = self._take(lambda wanted: wanted.stream != block.stream)
            self._stream = block.stream
            self._ring.restart(block.start_sample)
        self._ring.append(block.samples)
        return cuts + self._take(self._is_complete)

    def begin(self, key: str, stream: int, onset_s: float) -> None:
        """An event began at `onset_s` of `stream`; its clip is cut at `end`, or when it is as long as clips may be."""
        begin = round(onset_s * SAMPLE_RATE_HZ) - self._pre_samples
        self._wanted.append(_Wanted(key, stream, begin, begin + self._max_samples))

    def end(self, key: str, offset_s: float) -> list[Cut]:
        """The event ended at stream time `offset_s`; return its clip if the post-roll is already there."""
        for wanted in self._wanted:
            if wanted.key == key:
                end = round(offset_s * SAMPLE_RATE_HZ) + self._post_samples
                wanted.end_sample = min(wanted.end_sample, end)
        return self._take(self._is_complete)

    def flush(self) -> list[Cut]:
        """Cut what is wanted as far as it goes, as at the end of a stream."""
        return self._take(lambda _: True)

    def _is_complete(self, wanted: _Wanted) -> bool:
        return wanted.stream == self._stream and wanted.end_sample <= self._ring.end_sample

    def _take(self, which: Callable[[_Wanted], bool]) -> list[Cut]:
        taken = [wanted for wanted in self._wanted if which(wanted)]
        self._wanted = [wanted for wanted in self._wanted if not which(wanted)]
        return [self._cut(wanted) for wanted in taken]

    def _cut(self, wanted: _Wanted) -> Cut:
        begin, pcm = self._ring.read(wanted.begin_sample, wanted.end_sample)
        return Cut(wanted.key, wanted.stream, begin / SAMPLE_RATE_HZ, pcm)
