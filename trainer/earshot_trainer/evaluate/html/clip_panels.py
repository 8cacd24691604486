"""Clips on the page: how well their scores tell them apart, and which classes fool a model."""

from collections.abc import Mapping, Sequence

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.evaluate.html.curves import precision_recall, score_histogram
from earshot_trainer.evaluate.html.panels import Panel
from earshot_trainer.evaluate.html.plots import plot_bars, plot_histogram, plot_precision_recall
from earshot_trainer.evaluate.html.report_input import ShownModel
from earshot_trainer.evaluate.html.tables import alarms_table, class_table, decisions_table
from earshot_trainer.evaluate.tagging import Tagging

MOST_MODELS_WITH_HISTOGRAM = 2


def precision_recall_panels(models: Sequence[ShownModel], label: str) -> list[Panel]:
    """Return precision over recall of all models; nothing without clips of both kinds."""
    curves = {model.title: curve for model in models if (curve := precision_recall(model.tracks(label, "clip"), label))}
    if not curves:
        return []
    points = {
        model.title: {
            preset: (decided.recall, decided.precision)
            for preset, decided in tagging.at_presets.items()
            if decided.hits + decided.false_alarms
        }
        for model in models
        if (tagging := model.evaluation.labels[label].tagging) is not None
    }
    note = "Curve: threshold on the clip score. Marks: the detector's decisions at the three presets."
    return [Panel("Precision and recall", note, plot_precision_recall(curves, points, label))]


def histogram_panels(models: Sequence[ShownModel], label: str) -> list[Panel]:
    """Return the first models' histograms of clip scores."""
    panels = []
    for model in models[:MOST_MODELS_WITH_HISTOGRAM]:
        histogram = score_histogram(model.tracks(label, "clip"), label)
        if histogram is not None:
            enters = [getattr(model.presets, preset)[label].enter for preset in PRESET_SENSITIVITY]
            note = "Dotted: enter of the three presets."
            picture = plot_histogram(histogram, label, model.title, enters)
            panels.append(Panel(f"Scores, {model.title}", note, picture))
    return panels


def class_panels(models: Sequence[ShownModel], label: str) -> list[Panel]:
    """Return what fools the models, by class: clips, then long recordings."""
    return [*_clip_classes(models, label), *_long_classes(models, label)]


def table_panels(models: Sequence[ShownModel], label: str) -> list[Panel]:
    """Return every number behind the pictures, folded."""
    panels = []
    for model in models:
        figures = model.evaluation.labels[label]
        if figures.false_alarms:
            table = alarms_table(figures.false_alarms)
            panels.append(Panel(f"False alarms per hour, {model.title}", table=table, wide=True, folded=True))
        if figures.tagging is not None:
            title = f"Clip decisions, {model.title}"
            panels.append(Panel(title, table=decisions_table(figures.tagging), wide=True, folded=True))
            title = f"Classes, {model.title}"
            note = f"● holds {label}. The most fooling first."
            panels.append(Panel(title, note, table=class_table(figures.tagging), wide=True, folded=True))
    return panels


def _clip_classes(models: Sequence[ShownModel], label: str) -> list[Panel]:
    taggings = {model.title: model.evaluation.labels[label].tagging for model in models}
    first = taggings[models[0].title]
    if first is None:
        return []
    others = [row for row in first.classes if not row.is_positive]
    values = {title: _alarmed_percent(tagging, [row.name for row in others]) for title, tagging in taggings.items()}
    names, values = _most_first([f"{row.name} ({row.clips})" for row in others], values)
    note = f"Share of clips without {label} that raise an alarm at balanced, by class (number of clips)."
    return [Panel("What fools it", note, plot_bars(names, values, "clips with an alarm, %"))]


def _alarmed_percent(tagging: Tagging | None, names: Sequence[str]) -> list[float]:
    rows = {row.name: row for row in tagging.classes if not row.is_positive} if tagging is not None else {}
    return [100 * rows[name].alarmed["balanced"] / rows[name].clips if name in rows else 0.0 for name in names]


def _long_classes(models: Sequence[ShownModel], label: str) -> list[Panel]:
    rates = {model.title: model.evaluation.labels[label].false_alarms for model in models}
    some = any(found and found["balanced"].count for found in rates.values())
    preset = "balanced" if some else "sensitive"
    hours = {name: h for found in rates.values() if found for name, (_, h) in found[preset].by_class.items()}
    if not hours:
        return []
    counts = {
        title: [float(found[preset].by_class.get(name, (0, 0))[0]) if found else 0.0 for name in hours]
        for title, found in rates.items()
    }
    names, counts = _most_first([f"{name} ({h:.2f} h)" for name, h in hours.items()], counts)
    note = f"Long recordings without {label} at {preset}, by class (hours heard); only classes with an alarm."
    return [Panel("False alarms by class", note, plot_bars(names, counts, "false alarms"))]


def _most_first(names: list[str], values: Mapping[str, list[float]]) -> tuple[list[str], dict[str, list[float]]]:
    order = sorted(range(len(names)), key=lambda i: (-max(row[i] for row in values.values()), names[i]))
    return [names[i] for i in order], {title: [row[i] for i in order] for title, row in values.items()}
