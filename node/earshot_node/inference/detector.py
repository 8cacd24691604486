"""Posteriors in, onsets and offsets out: the same code live, on files and in the trainer's evaluation.

Rules of one label, at its operating point:

1. A frame at or above `enter` begins a candidate, unless the cooldown after the last offset still runs.
2. Frames at or above `leave` carry it on; a gap below `leave` of up to `bridging_s` does not end it.
3. Once it has lasted `min_length_s` from its first to its latest carrying frame, or a frame exceeds `certain`, its
   onset is reported, once.
4. A longer gap ends it: a reported one gets its offset (the end of the latest carrying frame), a candidate vanishes.

Frame `i` of hop `h` covers stream time `i * h` to `(i + 1) * h`. Frames are counted, nothing else: how the posteriors
are cut into calls does not change the output.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.facts import Offset, Onset, SoundEvent


@dataclass(frozen=True, slots=True)
class Decision:
    """An onset or offset, and the stream time of the end of the frame that decided it."""

    phase: Literal["onset", "offset"]
    event: SoundEvent
    decided_s: float


class LabelDetector:
    """The rules above for one label; `push` one posterior a frame."""

    def __init__(self, label: str, point: OperatingPoint, hop_s: float, *, first_frame: int = 0) -> None:
        self._label = label
        self._hop_s = hop_s
        self._frame = first_frame
        self._onset_frame = -1
        self._last_frame = -1
        self._peak = 0.0
        self._reported = False
        self._cooldown_until = 0
        self.set_point(point)

    def set_point(self, point: OperatingPoint) -> None:
        """Decide by `point` from the next frame on; an event that has begun goes on."""
        self._enter = point.enter
        self._leave = point.leave
        self._certain = point.certain
        self._min_frames = max(1, _frames_up(point.min_length_s, self._hop_s))
        self._bridging_frames = _frames_down(point.bridging_s, self._hop_s)
        self._cooldown_frames = _frames_up(point.cooldown_s, self._hop_s)

    def push(self, posterior: float) -> Decision | None:
        """Take the next frame's posterior; return what it decided."""
        frame = self._frame
        self._frame += 1
        if self._onset_frame < 0:
            if posterior < self._enter or frame < self._cooldown_until:
                return None
            self._onset_frame = self._last_frame = frame
            self._peak = posterior
            return self._report_if_due(posterior)
        if posterior >= self._leave:
            self._last_frame = frame
            self._peak = max(self._peak, posterior)
            return self._report_if_due(posterior)
        if frame - self._last_frame > self._bridging_frames:
            return self._end()
        return None

    def flush(self) -> Decision | None:
        """End what is open, as at the end of a stream."""
        return self._end() if self._onset_frame >= 0 else None

    def _report_if_due(self, posterior: float) -> Decision | None:
        long_enough = self._last_frame - self._onset_frame + 1 >= self._min_frames
        if self._reported or not (long_enough or posterior > self._certain):
            return None
        self._reported = True
        return Decision("onset", self._event(offset_s=None), self._frame * self._hop_s)

    def _end(self) -> Decision | None:
        decision = None
        if self._reported:
            end_frame = self._last_frame + 1
            self._cooldown_until = end_frame + self._cooldown_frames
            decision = Decision("offset", self._event(offset_s=end_frame * self._hop_s), self._frame * self._hop_s)
        self._onset_frame = -1
        self._reported = False
        return decision

    def _event(self, offset_s: float | None) -> SoundEvent:
        return SoundEvent(self._label, self._onset_frame * self._hop_s, offset_s, self._peak)


class Detector:
    """One `LabelDetector` per label that has an operating point; a label without one is not listened for.

    Args:
        labels: the model's labels, in the order of the posteriors' columns.
        points: operating point by label.
        hop_s: seconds between frames.
        first_frame: number of the frame that comes first.
    """

    def __init__(
        self, labels: Sequence[str], points: Mapping[str, OperatingPoint], hop_s: float, *, first_frame: int = 0
    ) -> None:
        self._columns = {label: column for column, label in enumerate(labels)}
        self._hop_s = hop_s
        self._detectors = {
            label: LabelDetector(label, point, hop_s, first_frame=first_frame) for label, point in points.items()
        }
        for label in points:
            if label not in self._columns:
                raise KeyError(label)

    def push(self, posteriors: NDArray[np.float32]) -> list[Decision]:
        """Take float32[frames, labels]; return the decisions in order of time."""
        decisions: list[Decision] = []
        for label, detector in self._detectors.items():
            column = posteriors[:, self._columns[label]].tolist()
            decisions.extend(decision for p in column if (decision := detector.push(p)) is not None)
        decisions.sort(key=lambda decision: decision.decided_s)
        return decisions

    def flush(self) -> list[Decision]:
        """End what is open."""
        return [decision for d in self._detectors.values() if (decision := d.flush()) is not None]

    def set_point(self, label: str, point: OperatingPoint | None, frame: int) -> list[Decision]:
        """Change a label's operating point from frame number `frame` on, or remove it (None), which ends its event."""
        current = self._detectors.get(label)
        if point is None:
            return self._drop(label) if current is not None else []
        if current is not None:
            current.set_point(point)
        else:
            self._detectors[label] = LabelDetector(label, point, self._hop_s, first_frame=frame)
        return []

    def follow(self, labels: Sequence[str], points: Mapping[str, OperatingPoint], frame: int) -> list[Decision]:
        """Take another model's posteriors from frame number `frame` on.

        What is open stays open and a cooldown goes on: to the household it is one event, whichever model hears it. An
        event of a label without a point in `points` ends.
        """
        self._columns = {label: column for column, label in enumerate(labels)}
        decisions = [decision for label in self._detectors.keys() - points for decision in self._drop(label)]
        for label, point in points.items():
            self.set_point(label, point, frame)
        return decisions

    def _drop(self, label: str) -> list[Decision]:
        decision = self._detectors.pop(label).flush()
        return [decision] if decision is not None else []


def fact_of(source: str, stream: int, origin_s: float, decision: Decision) -> Onset | Offset:
    """Place a decision in the time of the stream that began at `origin_s`."""
    event = decision.event
    offset_s = None if event.offset_s is None else origin_s + event.offset_s
    event = replace(event, onset_s=origin_s + event.onset_s, offset_s=offset_s)
    kind = Onset if decision.phase == "onset" else Offset
    return kind(source, stream, event, origin_s + decision.decided_s)


def _frames_up(seconds: float, hop_s: float) -> int:
    return math.ceil(seconds / hop_s - 1e-6)


def _frames_down(seconds: float, hop_s: float) -> int:
    return math.floor(seconds / hop_s + 1e-6)
