"""The numbers behind the page's curves, from posteriors of clips and long recordings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from earshot_node.contract.operating_point import OperatingPoint
from earshot_trainer.evaluate.tracks import Track, detect

MOST_POINTS = 400
DET_ENTER = (
    0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.93, 0.96, 0.98, 0.99, 0.995, 0.999
)  # fmt: skip
HISTOGRAM_BINS = 25


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision float64[n] over recall float64[n] as the clip score's threshold moves; recall rises."""

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetectionError:
    """False alarms per hour against the share of clips missed, as `enter` of an operating point moves.

    Attributes:
        enter: thresholds, rising; `leave` keeps its share of `enter`, everything else is the operating point's.
        per_hour: events of the node's detector on long recordings without the label, by hour.
        missed: share of clips with the label that have no event.
        hours: what the rates come from.
    """

    enter: tuple[float, ...]
    per_hour: NDArray[np.float64]
    missed: NDArray[np.float64]
    hours: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """Clips by score: counts int[HISTOGRAM_BINS] with and without the label between `edges`."""

    edges: NDArray[np.float64]
    with_label: NDArray[np.int_]
    without: NDArray[np.int_]


def precision_recall(clips: Sequence[Track], label: str) -> PrecisionRecall | None:
    """Return the curve of clip tagging, thinned to MOST_POINTS; None unless there are clips with and without label."""
    truth, scores = _truth_and_scores(clips, label)
    if truth.all() or not truth.any():
        return None
    precision, recall, _ = precision_recall_curve(truth, scores)
    keep = np.unique(np.linspace(0, len(recall) - 1, min(MOST_POINTS, len(recall))).astype(int))
    return PrecisionRecall(recall[::-1][keep], precision[::-1][keep])


def detection_error(
    clips: Sequence[Track], long: Sequence[Track], label: str, point: OperatingPoint
) -> DetectionError | None:
    """Move `enter`, let the detector decide; None without clips that hold the label or long recordings without it."""
    positives = [track for track in clips if track.is_positive(label)]
    negatives = [track for track in long if not track.is_positive(label)]
    hours = sum(track.duration_s for track in negatives) / 3600
    if not positives or hours <= 0:
        return None
    share = point.leave / point.enter
    per_hour, missed = [], []
    for enter in DET_ENTER:
        moved = point.model_copy(update={"enter": enter, "leave": enter * share})
        per_hour.append(sum(_events(track, label, moved) for track in negatives) / hours)
        missed.append(sum(_events(track, label, moved) == 0 for track in positives) / len(positives))
    return DetectionError(DET_ENTER, np.array(per_hour), np.array(missed), hours)


def score_histogram(clips: Sequence[Track], label: str) -> Histogram | None:
    """Count clips by score; None without clips."""
    if not clips:
        return None
    truth, scores = _truth_and_scores(clips, label)
    edges = np.linspace(0.0, 1.0, HISTOGRAM_BINS + 1)
    return Histogram(edges, np.histogram(scores[truth], edges)[0], np.histogram(scores[~truth], edges)[0])


def _truth_and_scores(clips: Sequence[Track], label: str) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    truth = np.array([track.is_positive(label) for track in clips], dtype=bool)
    return truth, np.array([track.score for track in clips], dtype=np.float64)


def _events(track: Track, label: str, point: OperatingPoint) -> int:
    if track.score < point.enter:
        return 0
    return len(detect(track.posteriors, label, point, track.hop_s))
