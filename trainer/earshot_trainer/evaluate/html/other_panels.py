"""Folds, operating points chosen on other folds, and speed on the page."""

from collections.abc import Mapping

from earshot_trainer.evaluate.folds import Fold, FoldFigures
from earshot_trainer.evaluate.html.panels import Figure, Panel, Part
from earshot_trainer.evaluate.html.tables import Table
from earshot_trainer.evaluate.nested_choice import NestedFigures
from earshot_trainer.evaluate.speed import SpeedFigures


def show_folds(found: Mapping[str, FoldFigures], label: str) -> Part | None:
    """Return a table a model of each run's own recordings."""
    columns = ["recordings of", "clips", "of", "others", "AUC", "AP", "recall", "false alarms"]
    panels = []
    for title, figures in found.items():
        rows = [_fold_row(fold) for fold in figures.by_label.get(label, [])]
        auc, precision = figures.auc.get(label), figures.average_precision.get(label)
        if auc is not None and precision is not None:
            spread = [f"{one.mean:.3f} ± {one.deviation:.3f}" for one in (auc, precision)]
            rows.append(["mean and deviation", "", "", "", *spread, "", ""])
        if rows:
            panels.append(Panel(title, table=Table(columns, rows), wide=True))
    note = "Each run on the recordings that it was not trained on; what differs is the recipe's spread."
    return Part("fold by fold", note, panels) if panels else None


def show_nested(found: Mapping[str, NestedFigures], label: str) -> Part | None:
    """Return what chosen points give on the folds that had no say in choosing them."""
    by_title = {title: figures.by_label[label] for title, figures in found.items() if label in figures.by_label}
    if not by_title:
        return None
    columns = ["model", "preset", "recall", "clip alarms", "false alarms", "per hour", "95 % interval"]
    rows = []
    for title, presets in by_title.items():
        for name, one in presets.items():
            low, high = one.per_hour_interval
            alarms = [f"{one.clip_alarms} of {one.negative_clips}", f"{one.false_alarms} in {one.hours:.2f} h"]
            recall = f"{one.recall:.3f} of {one.positives}"
            rows.append([title, name, recall, *alarms, f"{one.per_hour:.2f}", f"{low:.2f} to {high:.2f}"])
    recalls: dict[str, float | None] = {title: presets["balanced"].recall for title, presets in by_title.items()}
    rates: dict[str, float | None] = {title: presets["balanced"].per_hour for title, presets in by_title.items()}
    where = "balanced as chosen on the other folds"
    headline = [
        Figure("recall, point chosen elsewhere", where, recalls, "{:.3f}".format),
        Figure("false alarms per hour, point chosen elsewhere", where, rates, "{:.2f}".format, higher_is_better=False),
    ]
    note = "For every fold the points are chosen on the other folds and measured on this one."
    return Part("operating points chosen elsewhere", note, [Panel("", table=Table(columns, rows), wide=True)], headline)


def show_speed(found: Mapping[str, SpeedFigures]) -> Part:
    """Return throughput and the time of one live decision."""
    columns = ["model", "audio s per core s", "in sirens", "all labels", "one live decision", "median", "p99"]
    rows = []
    for title, speed in found.items():
        times = [f"{speed.live_median_ms:.2f} ms", f"{speed.live_p99_ms:.2f} ms"]
        rates = (speed.throughput, speed.throughput_in_sirens, speed.throughput_of_all)
        rows.append([title, *(f"{rate:.0f}" for rate in rates), speed.live, *times])
        rows += [[f"  in calls of {call}", f"{rate:.0f}", "", "", "", "", ""] for call, rate in speed.by_call.items()]
    how = next(iter(found.values())).protocol
    note = f"One thread, {how['machine']}; {how['audio_s']:g} s of audio, {how['rounds']} rounds; {how['throughput']}."
    throughput: dict[str, float | None] = {title: speed.throughput for title, speed in found.items()}
    headline = Figure("audio seconds per core second", "one thread, this machine", throughput, "{:.0f}".format)
    return Part("speed", note, [Panel("", table=Table(columns, rows), wide=True)], [headline], general=True)


def _fold_row(fold: Fold) -> list[str]:
    ranks = ["-" if value is None else f"{value:.3f}" for value in (fold.auc, fold.average_precision, fold.clip_recall)]
    counts = [str(fold.positives), str(fold.positive_groups), str(fold.negatives)]
    return [fold.name, *counts, *ranks, f"{fold.false_alarms} in {fold.hours:.2f} h"]
