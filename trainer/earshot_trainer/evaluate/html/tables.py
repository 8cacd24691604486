"""The page's tables: every cell a text, so that the template only lays out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.evaluate.evaluation import LabelFigures
from earshot_trainer.evaluate.false_alarms import FalseAlarms
from earshot_trainer.evaluate.html.report_input import ShownModel
from earshot_trainer.evaluate.point_settings import SETTINGS, settings_of
from earshot_trainer.evaluate.tagging import Tagging


@dataclass(frozen=True, slots=True)
class Row:
    """One figure of every model.

    Attributes:
        note: how it was measured, in a few words.
        values: one text a model.
        best: which of them is better, None when equal or when it cannot be said.
    """

    name: str
    note: str
    values: list[str]
    best: int | None = None


@dataclass(frozen=True, slots=True)
class Table:
    """Column titles and rows of texts; the first column names the row."""

    columns: list[str]
    rows: list[list[str]]


def figure_row(
    name: str, note: str, values: Sequence[float | None], text: Callable[[float], str], *, higher_is_better: bool = True
) -> Row | None:
    """Return a row, None if no model has the figure; a missing one is a dash."""
    if all(value is None for value in values):
        return None
    texts = ["-" if value is None else text(value) for value in values]
    known = [(value, number) for number, value in enumerate(values) if value is not None]
    best = None
    if len(known) > 1 and len(set(texts)) > 1:
        best = (max if higher_is_better else min)(known)[1]
    return Row(name, note, texts, best)


def headline_rows(models: Sequence[ShownModel], label: str) -> list[Row]:
    """Return the figures of clips and long recordings, the same for every model."""
    figures = [model.evaluation.labels.get(label) for model in models]
    tagging = [found.tagging if found is not None else None for found in figures]
    rows = [
        _tagging_row("average precision", "clips, score = highest posterior", tagging, lambda t: t.average_precision),
        _tagging_row("AUC", _auc_note(tagging), tagging, lambda t: t.auc),
        *(_decision_row(name, tagging) for name in ("recall", "precision", "f1")),
        *(_alarm_row(preset, figures) for preset in PRESET_SENSITIVITY),
        figure_row(
            "model size",
            "the graph's file",
            [model.evaluation.subject.get("model_bytes") for model in models],
            lambda size: f"{size / 1000:,.0f} kB",
            higher_is_better=False,
        ),
    ]
    return [row for row in rows if row is not None]


def operating_points_table(model: ShownModel, label: str) -> Table:
    """Return the settings of each preset."""
    rows = [[preset, *settings_of(getattr(model.presets, preset)[label])] for preset in PRESET_SENSITIVITY]
    return Table(["preset", *SETTINGS], rows)


def decisions_table(tagging: Tagging) -> Table:
    """Return precision, recall and F1 of clips by preset, and at the threshold with the best F1."""
    columns = ["decision", "precision", "recall", "F1", "hits", "misses", "false alarms"]
    chosen = {**tagging.at_presets, f"score ≥ {tagging.best_threshold:.3f} (best F1)": tagging.at_best}
    rows = [
        [name, f"{d.precision:.3f}", f"{d.recall:.3f}", f"{d.f1:.3f}", str(d.hits), str(d.misses), str(d.false_alarms)]
        for name, d in chosen.items()
    ]
    return Table(columns, rows)


def class_table(tagging: Tagging) -> Table:
    """Return what every class of the manifests does to the score and the detector."""
    presets = list(PRESET_SENSITIVITY)
    columns = ["class", "clips", "mean score", "above best threshold", *(f"alarms, {preset}" for preset in presets)]
    rows = [
        [
            f"{row.name} ●" if row.is_positive else row.name, str(row.clips), f"{row.mean_score:.3f}",
            _share(row.above_best, row.clips), *(_share(row.alarmed[preset], row.clips) for preset in presets),
        ]
        for row in tagging.classes
    ]  # fmt: skip
    return Table(columns, rows)


def alarms_table(false_alarms: dict[str, FalseAlarms]) -> Table:
    """Return false alarms per hour by preset."""
    columns = ["preset", "alarms", "hours", "per hour", "95 % interval", "classes"]
    rows = []
    for preset, found in false_alarms.items():
        low, high = found.per_hour_interval
        classes = ", ".join(f"{name} {count}" for name, (count, _) in found.by_class.items())
        rows.append(
            [
                preset,
                str(found.count),
                f"{found.hours:.2f}",
                f"{found.per_hour:.2f}",
                f"{low:.2f} to {high:.2f}",
                classes,
            ]
        )
    return Table(columns, rows)


def protocol_rows(model: ShownModel) -> list[tuple[str, str]]:
    """Return what makes the figures mean something: data, selection, rules, model, speed."""
    subject, protocol = model.evaluation.subject, model.evaluation.protocol
    selected = {"folds": "fold", "sources": "source", "excluded_groups": "without group"}
    chosen = [f"{word} {name}" for key, word in selected.items() for name in protocol.get(key, ())]
    rows = [
        ("data", f"sha256 {protocol['data_sha256']}"),
        ("recordings", _recordings(protocol)),
        ("selection", ", ".join(chosen) or "everything in the manifests"),
        ("manifests", ", ".join(str(name) for name in protocol.get("manifests", ()))),
        ("model", f"{subject['title']}, sha256 {subject['model_sha256']}"),
        ("operating points", str(subject["presets_origin"])),
        ("clip score", str(protocol["clip_score"])),
        ("clip decision", str(protocol["clip_decision"])),
        ("false alarm", str(protocol["false_alarm"])),
        ("Earshot", str(protocol["earshot_version"])),
    ]
    shown = {"data_sha256", "recordings", "clips", "long_recordings", "not_read", "groups", "manifests", "clip_score",
             "clip_decision", "false_alarm", "earshot_version", *selected}  # fmt: skip
    rows += [(key.replace("_", " "), str(value)) for key, value in protocol.items() if key not in shown]
    speed = model.evaluation.speed
    if speed:
        rows.append(("this run", ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in speed.items())))
    return rows


def _recordings(protocol: dict[str, Any]) -> str:
    text = f"{protocol['recordings']}: {protocol['clips']} clips, {protocol['long_recordings']} long"
    return f"{text}, of {len(protocol['groups'])} originals; not read: {protocol['not_read']}"


def _tagging_row(
    name: str, note: str, tagging: Sequence[Tagging | None], figure: Callable[[Tagging], float]
) -> Row | None:
    return figure_row(name, note, [None if t is None else figure(t) for t in tagging], lambda value: f"{value:.4f}")


def _auc_note(tagging: Sequence[Tagging | None]) -> str:
    intervals = [f"{t.auc_interval[0]:.3f} to {t.auc_interval[1]:.3f}" for t in tagging if t is not None]
    return "clips; 95 % over whole recordings: " + ", ".join(intervals)


def _decision_row(name: str, tagging: Sequence[Tagging | None]) -> Row | None:
    values = [None if t is None else float(getattr(t.at_presets["balanced"], name)) for t in tagging]
    title = "F1" if name == "f1" else name
    return figure_row(title, "clips, detector at balanced", values, lambda value: f"{value:.3f}")


def _alarm_row(preset: str, figures: Sequence[LabelFigures | None]) -> Row | None:
    found = [f.false_alarms.get(preset) if f is not None else None for f in figures]
    notes = [
        f"{f.count} in {f.hours:.2f} h, 95 % {f.per_hour_interval[0]:.2f} to {f.per_hour_interval[1]:.2f}"
        for f in found
        if f is not None
    ]
    rates = [None if f is None else f.per_hour for f in found]
    name = f"false alarms per hour, {preset}"
    return figure_row(name, "; ".join(dict.fromkeys(notes)), rates, lambda rate: f"{rate:.2f}", higher_is_better=False)


def _share(count: int, total: int) -> str:
    return f"{count} ({100 * count / total:.0f} %)" if total else "-"
