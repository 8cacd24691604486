"""Whether a live signal can be trusted: digital silence, a frozen driver, clipping. Counts samples, knows no clock."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from earshot_node.audio.pcm import PcmFormat

SILENT_AFTER_S = 10
FROZEN_AFTER_S = 8
CLIPPED_WINDOW_S = 10
CLIPPED_SECONDS_ON = 8
CLIPPED_SECONDS_OFF = 3
CLIPPED_SHARE = 0.02
_FULL_SCALE = 32767
_PATTERN_FRAMES = 256
_MAX_CANDIDATES = 4
_ANCHORS = 8
_GOLDEN = 0.618034  # spreads anchors so that no period falls in step with them


@dataclass(frozen=True, slots=True)
class Condition:
    """How a signal is; `problem` is one line for a person, empty when healthy."""

    state: Literal["healthy", "silent", "frozen", "clipped"]
    problem: str = ""


HEALTHY = Condition("healthy")
SILENT = Condition(
    "silent", f"only digital silence for {SILENT_AFTER_S} s; is the microphone muted, in `alsamixer` or by a switch?"
)
FROZEN = Condition("frozen", "the same audio comes again and again; unplug the device and plug it in again")
CLIPPED = Condition(
    "clipped", "the signal is at full scale most of the time; lower the gain at the device (`alsamixer`)"
)


class ConditionMonitor:
    """Judges raw PCM second by second.

    Silent: every sample 0 for 10 s. Frozen: for 8 s a signal other than silence that repeats exactly with a period of
    at most 1 s. Clipped: at least 2 % of the samples at full scale in 8 of the last 10 seconds.
    The judgement does not depend on how the PCM is cut.
    """

    def __init__(self, pcm_format: PcmFormat) -> None:
        self._frame_bytes = pcm_format.frame_bytes
        self._second_bytes = pcm_format.bytes_per_s
        self._held = bytearray()
        self._previous = b""
        self._zero_s = 0
        self._frozen_s = 0
        self._clipped: deque[bool] = deque(maxlen=CLIPPED_WINDOW_S)
        self.condition: Condition | None = None

    def push(self, pcm: bytes) -> Condition | None:
        """Take PCM of any length and return the condition; None while there was only silence, too short to tell."""
        self._held += pcm
        while len(self._held) >= self._second_bytes:
            second = bytes(self._held[: self._second_bytes])
            del self._held[: self._second_bytes]
            self._judge(second)
        if self.condition is None and _has_sound(pcm):
            self.condition = HEALTHY
        return self.condition

    def _judge(self, second: bytes) -> None:
        values = np.frombuffer(second, dtype="<i2")
        highest, lowest = int(values.max()), int(values.min())
        zero = highest == 0 and lowest == 0
        self._zero_s = self._zero_s + 1 if zero else 0
        repeats = not zero and _repeats(self._previous + second, len(second), self._frame_bytes)
        self._frozen_s = self._frozen_s + 1 if repeats else 0
        self._previous = second
        self._clipped.append(_is_clipped(values, highest, lowest))
        self.condition = self._conclude()

    def _conclude(self) -> Condition | None:
        if self._zero_s >= SILENT_AFTER_S:
            return SILENT
        if self._frozen_s >= FROZEN_AFTER_S:
            return FROZEN
        if sum(self._clipped) >= (CLIPPED_SECONDS_OFF if self.condition is CLIPPED else CLIPPED_SECONDS_ON):
            return CLIPPED
        if self._zero_s and self.condition is None:
            return None
        return HEALTHY


def _has_sound(pcm: bytes) -> bool:
    return pcm.count(0) != len(pcm)


def _is_clipped(values: np.ndarray[tuple[int], np.dtype[np.int16]], highest: int, lowest: int) -> bool:
    if highest < _FULL_SCALE and lowest > -_FULL_SCALE:
        return False
    at_full_scale = np.count_nonzero(values >= _FULL_SCALE) + np.count_nonzero(values <= -_FULL_SCALE)
    return bool(at_full_scale >= CLIPPED_SHARE * len(values))


def _repeats(pcm: bytes, longest_period: int, frame_bytes: int) -> bool:
    """Whether `pcm` is exactly periodic with a period of at most `longest_period` bytes, half of its length."""
    if len(pcm) < 2 * longest_period:
        return False
    frames = longest_period // frame_bytes
    ends = (len(pcm) - int(frames * 0.75 * (number * _GOLDEN % 1)) * frame_bytes for number in range(_ANCHORS))
    return any(
        period % frame_bytes == 0 and pcm[period:] == pcm[:-period]
        for end in ends
        for period in _possible_periods(pcm, end, longest_period, frame_bytes)
    )


def _possible_periods(pcm: bytes, end: int, longest_period: int, frame_bytes: int) -> Iterator[int]:
    """How far before `end` the frames that end there stand again; few, useless where a stretch repeats itself."""
    pattern = pcm[end - _PATTERN_FRAMES * frame_bytes : end]
    at = end - len(pattern)
    for _ in range(_MAX_CANDIDATES):
        at = pcm.rfind(pattern, 0, at + len(pattern) - 1)
        period = end - len(pattern) - at
        if at < 0 or period > longest_period:
            return
        yield period
