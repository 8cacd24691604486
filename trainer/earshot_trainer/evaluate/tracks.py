"""Posteriors of whole recordings, state reset for every recording, and the events in them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.detector import Detector
from earshot_node.inference.facts import SoundEvent
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Subject


@dataclass(frozen=True, slots=True)
class Track:
    """One recording's posteriors.

    Attributes:
        recording: what was listened to.
        duration_s: its length as decoded.
        posteriors: float32[frames], one label's.
        hop_s: seconds between frames.
    """

    recording: Recording
    duration_s: float
    posteriors: NDArray[np.float32]
    hop_s: float

    @property
    def score(self) -> float:
        """The clip score: the highest posterior over all frames, 0 without a frame."""
        return float(self.posteriors.max(initial=0.0))

    def is_positive(self, label: str) -> bool:
        """Tell whether `label` is to be heard in the recording."""
        return label in self.recording.labels

    def events(self, label: str, point: OperatingPoint) -> list[SoundEvent]:
        """Return what `detect` does; a track that stays below `enter` has no event and is not searched."""
        return detect(self.posteriors, label, point, self.hop_s) if self.score >= point.enter else []


@dataclass(frozen=True, slots=True)
class Scored:
    """Tracks by label, and one line for every recording that could not be read.

    Attributes:
        by_label: those of which it is known whether the label is in them.
        events: by label, the posteriors of events in soundscapes, as further evidence that the label is found.
    """

    by_label: dict[str, list[Track]]
    problems: list[str]
    events: dict[str, list[Track]] = field(default_factory=dict)

    @property
    def recordings(self) -> list[Recording]:
        """The recordings that were read."""
        return [track.recording for track in next(iter(self.by_label.values()))]


def score_recordings(
    subject: Subject, recordings: Sequence[Recording], jobs: int, advance: Callable[[], None] = lambda: None
) -> Scored:
    """Let the subject hear every recording, `jobs` processes at once; `advance` is called after each."""
    by_label: dict[str, list[Track]] = {label: [] for label in subject.labels}
    problems: list[str] = []
    paths = [recording.path for recording in recordings]
    for recording, heard in zip(recordings, subject.score_files(paths, jobs), strict=True):
        advance()
        if heard.problem:
            problems.append(heard.problem)
            continue
        for column, label in enumerate(subject.labels):
            if label not in recording.doubtful:
                by_label[label].append(Track(recording, heard.duration_s, heard.posteriors[:, column], subject.hop_s))
    return Scored(by_label, problems)


def detect(posteriors: NDArray[np.float32], label: str, point: OperatingPoint, hop_s: float) -> list[SoundEvent]:
    """Return the finished events that the node's detector reports for float32[frames] of one label."""
    detector = Detector([label], {label: point}, hop_s)
    decisions = [*detector.push(posteriors[:, None]), *detector.flush()]
    return [decision.event for decision in decisions if decision.phase == "offset"]
