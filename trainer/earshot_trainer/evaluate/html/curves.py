"""The numbers behind the page's curves, from clip scores."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import precision_recall_curve

from earshot_trainer.evaluate.tracks import Track

MOST_POINTS = 400
HISTOGRAM_BINS = 25


@dataclass(frozen=True, slots=True)
class PrecisionRecall:
    """Precision float64[n] over recall float64[n] as the clip score's threshold moves; recall rises."""

    recall: NDArray[np.float64]
    precision: NDArray[np.float64]


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
