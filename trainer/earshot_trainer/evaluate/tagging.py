"""Clip tagging: does a label's score, or the detector, tell the clips that hold it from the rest?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint, Presets
from earshot_trainer.evaluate.tracks import Track

BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 1


@dataclass(frozen=True, slots=True)
class Decisions:
    """Precision, recall and F1 of yes-or-no decisions over clips; a share of nothing is 0."""

    precision: float
    recall: float
    f1: float
    hits: int
    misses: int
    false_alarms: int

    @classmethod
    def count(cls, truth: NDArray[np.bool_], decided: NDArray[np.bool_]) -> "Decisions":
        """Count bool[clips] against bool[clips]."""
        return cls.of(int((truth & decided).sum()), int((truth & ~decided).sum()), int((~truth & decided).sum()))

    @classmethod
    def of(cls, hits: int, misses: int, false_alarms: int) -> "Decisions":
        """Return the shares of these counts."""
        precision = hits / (hits + false_alarms) if hits + false_alarms else 0.0
        recall = hits / (hits + misses) if hits + misses else 0.0
        f1 = 2 * hits / (2 * hits + misses + false_alarms) if hits else 0.0
        return cls(precision, recall, f1, hits, misses, false_alarms)


@dataclass(frozen=True, slots=True)
class ClassRow:
    """What one class of the manifests does to the label's score.

    Attributes:
        clips: number of clips; `mean_score` over them.
        above_best: clips at or above the best threshold.
        alarmed: clips with at least one detected event, by preset.
    """

    name: str
    is_positive: bool
    clips: int
    mean_score: float
    above_best: int
    alarmed: dict[str, int]


@dataclass(frozen=True, slots=True)
class Tagging:
    """Clip tagging of one label.

    Attributes:
        auc_interval: 95 %, by resampling whole recordings (groups), since clips of one recording are alike.
        best_threshold: the one with the highest F1 on these very clips; `at_best` is therefore optimistic.
        at_presets: decision = the node's detector reports at least one event in the clip.
    """

    positives: int
    positive_groups: int
    negatives: int
    auc: float
    auc_interval: tuple[float, float]
    average_precision: float
    best_threshold: float
    at_best: Decisions
    at_presets: dict[str, Decisions]
    classes: list[ClassRow]


def measure_tagging(tracks: Sequence[Track], label: str, presets: Presets) -> Tagging | None:
    """Measure clips with and without `label`; None unless there are both."""
    truth = np.array([track.is_positive(label) for track in tracks], dtype=bool)
    if truth.all() or not truth.any():
        return None
    scores = np.array([track.score for track in tracks])
    alarmed: dict[str, NDArray[np.bool_]] = {
        name: alarmed_clips(tracks, label, getattr(presets, name)[label]) for name in PRESET_SENSITIVITY
    }
    threshold = best_f1_threshold(truth, scores)
    groups = [track.recording.group for track in tracks]
    return Tagging(
        positives=int(truth.sum()),
        positive_groups=len({group for group, positive in zip(groups, truth, strict=True) if positive}),
        negatives=int((~truth).sum()),
        auc=float(roc_auc_score(truth, scores)),
        auc_interval=auc_interval(truth, scores, groups),
        average_precision=float(average_precision_score(truth, scores)),
        best_threshold=threshold,
        at_best=Decisions.count(truth, scores >= threshold),
        at_presets={name: Decisions.count(truth, decided) for name, decided in alarmed.items()},
        classes=_class_rows(tracks, truth, scores, threshold, alarmed),
    )


def alarmed_clips(tracks: Sequence[Track], label: str, point: OperatingPoint) -> NDArray[np.bool_]:
    """Tell for every track whether the detector reports an event in it."""
    return np.array([bool(track.events(label, point)) for track in tracks], dtype=bool)


def best_f1_threshold(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the score at or above which deciding yes gives the highest F1 (the highest such score)."""
    precision, recall, thresholds = precision_recall_curve(truth, scores)
    total = precision[:-1] + recall[:-1]
    f1 = np.where(total > 0, 2 * precision[:-1] * recall[:-1] / np.maximum(total, 1e-12), 0.0)
    return float(thresholds[np.flatnonzero(f1 >= f1.max() - 1e-12)[-1]])


def auc_interval(truth: NDArray[np.bool_], scores: NDArray[np.float64], groups: Sequence[str]) -> tuple[float, float]:
    """Return the 95 % bootstrap interval of the AUC over whole groups; groups with and without the label apart."""
    _, member = np.unique(np.array(groups), return_inverse=True)
    members = [np.flatnonzero(member == number) for number in range(member.max() + 1)]
    with_label = [rows for rows in members if truth[rows].any()]
    without = [rows for rows in members if not truth[rows].any()]
    if len(with_label) < 2 or len(without) < 2:
        return (0.0, 1.0)
    rng = np.random.default_rng(BOOTSTRAP_SEED)
    values = []
    for _ in range(BOOTSTRAP_ROUNDS):
        drawn = [side[number] for side in (with_label, without) for number in rng.integers(len(side), size=len(side))]
        rows = np.concatenate(drawn)
        values.append(rank_auc(truth[rows], scores[rows]))
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)


def rank_auc(truth: NDArray[np.bool_], scores: NDArray[np.float64]) -> float:
    """Return the AUC as the Mann-Whitney statistic: the share of pairs in the right order, ties count half."""
    _, rank, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2
    positives = int(truth.sum())
    pairs = positives * (len(truth) - positives)
    return float((middle[rank][truth].sum() - positives * (positives + 1) / 2) / pairs)


def _class_rows(
    tracks: Sequence[Track],
    truth: NDArray[np.bool_],
    scores: NDArray[np.float64],
    threshold: float,
    alarmed: dict[str, NDArray[np.bool_]],
) -> list[ClassRow]:
    """One row a manifest class, the most fooling first; the label's own class leads."""
    names = np.array([track.recording.label for track in tracks])
    rows = []
    for name, positive in sorted({(str(n), bool(t)) for n, t in zip(names, truth, strict=True)}):
        chosen = (names == name) & (truth == positive)
        rows.append(
            ClassRow(
                name=name,
                is_positive=positive,
                clips=int(chosen.sum()),
                mean_score=float(scores[chosen].mean()),
                above_best=int((scores[chosen] >= threshold).sum()),
                alarmed={preset: int(decided[chosen].sum()) for preset, decided in alarmed.items()},
            )
        )
    return sorted(rows, key=lambda row: (not row.is_positive, -row.above_best / row.clips, -row.mean_score, row.name))
