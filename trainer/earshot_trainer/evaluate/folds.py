"""Figures of each run's own recordings beside the pooled ones: how much they differ is the spread of the recipe."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from earshot_trainer.evaluate.false_alarms import count_false_alarms
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import measure_tagging
from earshot_trainer.evaluate.tracks import Scored, Track


@dataclass(frozen=True, slots=True)
class Fold:
    """One pool of recordings.

    Attributes:
        name: the run that heard it, of the first subject.
        auc, average_precision, clip_recall: of its clips, the last at `balanced`; None without both kinds of clips.
        false_alarms: at `balanced` in `hours` of long recordings without the label.
    """

    name: str
    positives: int
    positive_groups: int
    negatives: int
    auc: float | None
    average_precision: float | None
    clip_recall: float | None
    hours: float
    false_alarms: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean and sample standard deviation over folds."""

    mean: float
    deviation: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread | None":
        """Summarize; None for fewer than two values."""
        if len(values) < 2:
            return None
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)))


@dataclass(frozen=True, slots=True)
class FoldFigures:
    """Folds by label, with the spread of what ranks clips."""

    by_label: dict[str, list[Fold]]
    auc: dict[str, Spread | None]
    average_precision: dict[str, Spread | None]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def measure_folds(
    subject: Subject, scored: Scored, material: Material, advance: Callable[[int, int], None]
) -> FoldFigures | None:
    """Measure every pool apart; None where there is one only."""
    if len(material.pools) < 2:
        return None
    by_label: dict[str, list[Fold]] = {}
    for label in subject.presets.balanced:
        track_of = {track.recording.path: track for track in scored.by_label[label]}
        folds = []
        for number, (name, pool) in enumerate(zip(material.pool_names, material.pools, strict=True)):
            tracks = [track_of[recording.path] for recording in pool if recording.path in track_of]
            folds.append(_measure_fold(name, tracks, label, subject))
            advance(number + 1, len(material.pools))
        by_label[label] = folds
    return FoldFigures(
        by_label,
        {label: Spread.of([f.auc for f in folds if f.auc is not None]) for label, folds in by_label.items()},
        {
            label: Spread.of([f.average_precision for f in folds if f.average_precision is not None])
            for label, folds in by_label.items()
        },
    )


def show_folds(console: Console, found: Mapping[str, FoldFigures]) -> None:
    """Print a table for each subject."""
    for title, figures in found.items():
        for label, folds in figures.by_label.items():
            table = Table(title=f"{label}: fold by fold, {title}", title_justify="left")
            columns = ("recordings of", "clips", "of", "others", "AUC", "AP", "recall", "false alarms")
            for column in columns:
                table.add_column(column)
            for fold in folds:
                ranks = [_figure(value) for value in (fold.auc, fold.average_precision, fold.clip_recall)]
                counts = [str(fold.positives), str(fold.positive_groups), str(fold.negatives)]
                table.add_row(fold.name, *counts, *ranks, f"{fold.false_alarms} in {fold.hours:.2f} h")
            auc, precision = figures.auc[label], figures.average_precision[label]
            if auc is not None and precision is not None:
                spread = [f"{s.mean:.3f} ± {s.deviation:.3f}" for s in (auc, precision)]
                table.add_row("mean and deviation", "", "", "", *spread, "", "")
            console.print(table)


def _measure_fold(name: str, tracks: Sequence[Track], label: str, subject: Subject) -> Fold:
    clips = [track for track in tracks if track.recording.kind == "clip"]
    quiet = [track for track in tracks if track.recording.kind == "long" and not track.is_positive(label)]
    tagging = measure_tagging(clips, label, subject.presets)
    alarms = count_false_alarms(quiet, label, subject.presets.balanced[label]) if quiet else None
    positives = [track for track in clips if track.is_positive(label)]
    return Fold(
        name=name,
        positives=len(positives),
        positive_groups=len({track.recording.group for track in positives}),
        negatives=len(clips) - len(positives),
        auc=tagging.auc if tagging else None,
        average_precision=tagging.average_precision if tagging else None,
        clip_recall=tagging.at_presets["balanced"].recall if tagging else None,
        hours=alarms.hours if alarms else 0.0,
        false_alarms=alarms.count if alarms else 0,
    )


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


FOLDS = Section("folds", measure_folds, show_folds)
