"""The latest log-mel frames of a source, a byte each: what pictures are drawn from."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.manifest import MEL_RANGE_HZ, MelRange

KEPT_S: Final = 30.0
LOWEST: Final = -14.0
"""Natural logarithm of power; the model's graph goes down to -13.8 and, at full scale, up to 10."""
STEP: Final = 0.1
_GAP_S: Final = 0.001

Shades = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Frames of a stream.

    Attributes:
        frames: uint8[frames, mels]; LOWEST + value * STEP is the natural logarithm of power.
        begin_s: stream time at which the first begins.
        hop_s: seconds between frames.
        range_hz: of the bands.
    """

    frames: Shades
    begin_s: float
    hop_s: float
    range_hz: MelRange = MEL_RANGE_HZ


class FrameMemory:
    """Keeps about KEPT_S of one stream, two frames in one: 120 kB for 80 mels and a frame each 10 ms."""

    def __init__(self) -> None:
        self._hop_s = 0.0
        self._range_hz = MEL_RANGE_HZ
        self._kept: deque[tuple[float, Shades]] = deque()
        self._end_s = 0.0

    def reset(self) -> None:
        """Forget everything."""
        self._kept.clear()

    def push(
        self, begin_s: float, log_mel: NDArray[np.float32], hop_s: float, range_hz: MelRange = MEL_RANGE_HZ
    ) -> None:
        """Take float32[frames, mels], one each `hop_s`, from stream time `begin_s` on.

        What does not follow on, or has other hops or mels, begins anew.
        """
        group = 1 if len(log_mel) % 2 else 2
        follows_on = abs(begin_s - self._end_s) < _GAP_S and self._hop_s == group * hop_s
        alike = range_hz == self._range_hz and self._kept and self._kept[-1][1].shape[1] == log_mel.shape[1]
        if not (follows_on and alike):
            self.reset()
        self._hop_s, self._range_hz = group * hop_s, range_hz
        grouped = log_mel.reshape(-1, group, log_mel.shape[1]).mean(axis=1)
        shades = np.clip(np.rint((grouped - LOWEST) / STEP), 0, 255).astype(np.uint8)
        self._kept.append((begin_s, shades))
        self._end_s = begin_s + len(shades) * self._hop_s
        while self._kept[0][0] < self._end_s - KEPT_S and len(self._kept) > 1:
            self._kept.popleft()

    @property
    def end_s(self) -> float:
        """Stream time at which the latest frame ends."""
        return self._end_s

    def excerpt(self, begin_s: float, end_s: float) -> Excerpt | None:
        """Return what is kept between two stream times; None if nothing is."""
        if not self._kept:
            return None
        first_s = self._kept[0][0]
        frames = np.concatenate([shades for _, shades in self._kept])
        first = max(0, round((begin_s - first_s) / self._hop_s))
        last = min(len(frames), round((end_s - first_s) / self._hop_s))
        if last <= first:
            return None
        return Excerpt(frames[first:last], first_s + first * self._hop_s, self._hop_s, self._range_hz)
