"""One take: so many seconds of a stream from now on, after a countdown. Counts samples, knows no clock."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.audio.level import level_dbfs
from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import SourceError
from earshot_node.recordings.draft import FULL_SCALE, Loudness
from earshot_node.ring import Pcm

SILENT_BELOW_DBFS: Final = -70.0
CLIPPED_FROM_SHARE: Final = 0.001
NO_AUDIO_AFTER_S: Final = 5.0

Warning_ = Literal["silent", "quiet", "clipped"]


@dataclass(frozen=True, slots=True)
class Progress:
    """What a take does now.

    Attributes:
        phase: whether it counts down or records.
        at_s: time until the recording begins, or since it began.
        level_dbfs: level of the latest block.
        clipped: the latest block reaches full scale.
    """

    phase: Literal["countdown", "recording"]
    at_s: float
    level_dbfs: float
    clipped: bool


@dataclass(frozen=True, slots=True)
class Take:
    """A finished take: int16[n] of 16 kHz and the wall time of its first sample."""

    pcm: Pcm
    begin: datetime


class TakeRecorder:
    """Collects one take from the blocks of one source.

    Args:
        seconds: its length.
        countdown_s: audio that passes before it begins.
    """

    def __init__(self, seconds: float, countdown_s: float = 0.0) -> None:
        self._wanted = round(seconds * SAMPLE_RATE_HZ)
        self._waiting = round(countdown_s * SAMPLE_RATE_HZ)
        self._pieces: list[Pcm] = []
        self._held = 0
        self._begin: datetime | None = None
        self._next: tuple[int, int] | None = None

    @property
    def take(self) -> Take | None:
        """The finished take, None until it is."""
        if self._held < self._wanted or self._begin is None:
            return None
        return Take(np.concatenate(self._pieces), self._begin)

    def push(self, block: Block) -> Progress:
        """Take the source's next block.

        Raises:
            SourceError: audio was lost in the middle, or the source has ended.
        """
        if self._held and self._next != (block.stream, block.start_sample):
            raise SourceError(f"{block.source}: audio was lost during the recording; record it again")
        self._next = (block.stream, block.end_sample)
        skipped = min(self._waiting, len(block.samples))
        self._waiting -= skipped
        samples = block.samples[skipped : skipped + self._wanted - self._held]
        if len(samples):
            if self._begin is None:
                begin_s = block.end_wall_s - (len(block.samples) - skipped) / SAMPLE_RATE_HZ
                self._begin = datetime.fromtimestamp(begin_s, UTC)
            self._pieces.append(np.round(samples * 32768.0).clip(-32768, 32767).astype(np.int16))
            self._held += len(samples)
        if block.last and self._held < self._wanted:
            raise SourceError(f"{block.source}: the source ended before the recording was complete")
        level = round(level_dbfs(block.samples), 1)
        peak = float(np.abs(block.samples).max(initial=0.0))
        clipped = peak >= FULL_SCALE / 32768
        if not self._held:
            return Progress("countdown", round(self._waiting / SAMPLE_RATE_HZ, 2), level, clipped)
        return Progress("recording", round(self._held / SAMPLE_RATE_HZ, 2), level, clipped)


def warnings(measured: Loudness | RecordingInfo, *, background: bool) -> tuple[Warning_, ...]:
    """Return what is suspicious about a take.

    Args:
        measured: its levels.
        background: it is meant to be background, which may be very quiet.
    """
    found: list[Warning_] = []
    if measured.peak_dbfs <= -90.0:
        found.append("silent")
    elif not background and measured.level_dbfs < SILENT_BELOW_DBFS:
        found.append("quiet")
    if measured.clipped_share >= CLIPPED_FROM_SHARE:
        found.append("clipped")
    return tuple(found)


WARNING_TEXTS: Final[dict[Warning_, str]] = {
    "silent": "digital silence: is the microphone muted or unplugged?",
    "quiet": f"very quiet, below {SILENT_BELOW_DBFS:.0f} dBFS: go nearer or raise gain_db",
    "clipped": "clipped at full scale: go further away or lower the gain",
}
