"""Writing the report: one page, its audio cut-outs and the figures as JSON, in a folder of their own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.html.curves import detection_error, precision_recall, score_histogram
from earshot_trainer.evaluate.html.cut_outs import MARGINS, CutOut, Voice, cut_out
from earshot_trainer.evaluate.html.moments import Moment, worst_false_alarms, worst_misses
from earshot_trainer.evaluate.html.panels import Panel, Part, parts_of
from earshot_trainer.evaluate.html.plots import (
    plot_bars,
    plot_detection_error,
    plot_histogram,
    plot_precision_recall,
)
from earshot_trainer.evaluate.html.report_input import Measured, ReportInput
from earshot_trainer.evaluate.html.tables import (
    Row,
    alarms_table,
    class_table,
    decisions_table,
    headline_rows,
    operating_points_table,
    protocol_rows,
)

PAGE_NAME, FIGURES_NAME, AUDIO_FOLDER = "index.html", "report.json", "audio"


@dataclass(frozen=True, slots=True)
class LabelPage:
    """What the page shows of one label."""

    label: str
    headline: list[Row]
    operating_points: list[tuple[str, Panel]]
    panels: list[Panel]
    parts: list[Part]
    alarms: list[CutOut]
    misses: list[CutOut]


def write_report(folder: Path, report: ReportInput) -> Path:
    """Write index.html, report.json and audio/ into `folder` (made if missing); return the page's path.

    Audio files of an earlier report in the folder are replaced.

    Raises:
        OperatorError: the folder cannot be written.
    """
    try:
        _clear_audio(folder / AUDIO_FOLDER)
        figures = json.dumps(report.document, indent=1) + "\n"
        (folder / FIGURES_NAME).write_text(figures, encoding="utf-8")
        page = folder / PAGE_NAME
        page.write_text(_render(folder, report), encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot write the report into {folder}: {error.strerror}; name another folder") from error
    return page


def _clear_audio(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob("*.flac"):
        old.unlink()


def _render(folder: Path, report: ReportInput) -> str:
    labels = [_label_page(folder, report, label) for label in report.subject.evaluation.labels]
    return _template().render(
        titles=[model.title for model in report.models],
        labels=labels,
        protocols=[(model.title, protocol_rows(model)) for model in report.models],
        problems=report.subject.evaluation.problems,
        command=report.command,
        figures_name=FIGURES_NAME,
        margins=MARGINS,
    )


@cache
def _template() -> jinja2.Template:
    """Load the page with its style sheet and script, which stand inside it."""
    folder = resources.files("earshot_trainer.evaluate.html") / "templates"
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (folder / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("report.css", "report.js"):
        environment.globals[name.replace(".", "_")] = Markup((folder / name).read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("report.html.j2")


def _label_page(folder: Path, report: ReportInput, label: str) -> LabelPage:
    models = [model for model in report.models if label in model.evaluation.labels]
    parts = parts_of([model.title for model in models], [model.findings for model in models], label)
    headline = headline_rows(report.models, label) + [row for part in parts for row in part.headline]
    subject = report.subject
    tracks = [*subject.tracks(label, "clip"), *subject.tracks(label, "long")]
    alarms = worst_false_alarms(tracks, label, subject.presets, report.most_moments)
    misses = worst_misses(tracks, label, subject.presets, report.most_moments)
    points = [(m.title, Panel("operating points", table=operating_points_table(m, label))) for m in models]
    panels = [*_curve_panels(models, label), *_class_panels(models, label), *_table_panels(models, label)]
    return LabelPage(
        label,
        headline,
        points,
        panels,
        parts,
        _cut_outs(folder, models, label, alarms, "false-alarm"),
        _cut_outs(folder, models, label, misses, "miss"),
    )


def _curve_panels(models: list[Measured], label: str) -> list[Panel]:
    panels = []
    clips = {model.title: model.tracks(label, "clip") for model in models}
    tagging = {m.title: t for m in models if (t := m.evaluation.labels[label].tagging) is not None}
    curves = {title: curve for title, tracks in clips.items() if (curve := precision_recall(tracks, label)) is not None}
    if curves:
        points = {
            title: {preset: (d.recall, d.precision) for preset, d in t.at_presets.items() if d.hits + d.false_alarms}
            for title, t in tagging.items()
        }
        note = "Curve: threshold on the clip score. Marks: the detector's decisions at the three presets."
        panels.append(Panel("Precision and recall", note, plot_precision_recall(curves, points, label)))
    errors = {
        m.title: found
        for m in models
        if (found := detection_error(clips[m.title], m.tracks(label, "long"), label, m.presets.balanced[label]))
    }
    if errors:
        points = {
            m.title: {
                preset: (
                    m.evaluation.labels[label].false_alarms[preset].per_hour,
                    1 - tagging[m.title].at_presets[preset].recall,
                )
                for preset in PRESET_SENSITIVITY
            }
            for m in models
            if m.title in errors and m.title in tagging
        }
        hours = next(iter(errors.values())).hours
        note = (
            f"Detector on {hours:.2f} h of long recordings without {label} (x) and on clips with it (y), as enter of "
            "the balanced point moves. Marks: the three presets as they are. Lower left is better."
        )
        panels.append(Panel("Detection error trade-off", note, plot_detection_error(errors, points, label)))
    for model in models:
        histogram = score_histogram(clips[model.title], label)
        if histogram is not None:
            enters = [getattr(model.presets, preset)[label].enter for preset in PRESET_SENSITIVITY]
            note = "Dotted: enter of the three presets. Apart is good; counts on a logarithmic axis."
            picture = plot_histogram(histogram, label, model.title, enters)
            panels.append(Panel(f"Scores, {model.title}", note, picture))
    return panels


def _class_panels(models: list[Measured], label: str) -> list[Panel]:
    panels = []
    subject = models[0].evaluation.labels[label]
    if subject.tagging is not None:
        others = [row for row in subject.tagging.classes if not row.is_positive]
        values = {}
        for model in models:
            tagging = model.evaluation.labels[label].tagging
            by_name = {row.name: row for row in tagging.classes if not row.is_positive} if tagging else {}
            values[model.title] = [
                100 * by_name[row.name].alarmed["balanced"] / by_name[row.name].clips if row.name in by_name else 0.0
                for row in others
            ]
        names, values = _most_first([f"{row.name} ({row.clips})" for row in others], values)
        note = f"Share of clips without {label} that raise an alarm at balanced, by class (number of clips)."
        panels.append(Panel("What fools it", note, plot_bars(names, values, "clips with an alarm, %")))
    rates = {m.title: m.evaluation.labels[label].false_alarms for m in models}
    preset = "balanced" if any(found and found["balanced"].count for found in rates.values()) else "sensitive"
    classes = {name: hours for found in rates.values() if found for name, (_, hours) in found[preset].by_class.items()}
    if classes:
        counts = {
            title: [float(found[preset].by_class.get(name, (0, 0))[0]) if found else 0.0 for name in classes]
            for title, found in rates.items()
        }
        names, counts = _most_first([f"{name} ({hours:.2f} h)" for name, hours in classes.items()], counts)
        note = f"Long recordings without {label} at {preset}, by class (hours heard); only classes with an alarm."
        panels.append(Panel("False alarms by class", note, plot_bars(names, counts, "false alarms")))
    return panels


def _most_first(names: list[str], values: Mapping[str, list[float]]) -> tuple[list[str], dict[str, list[float]]]:
    order = sorted(range(len(names)), key=lambda i: (-max(row[i] for row in values.values()), names[i]))
    return [names[i] for i in order], {title: [row[i] for i in order] for title, row in values.items()}


def _table_panels(models: list[Measured], label: str) -> list[Panel]:
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


def _cut_outs(folder: Path, models: list[Measured], label: str, moments: list[Moment], kind: str) -> list[CutOut]:
    point = models[0].presets.balanced[label]
    tracks = [{track.recording.path: track for track in model.scored.by_label[label]} for model in models]
    shown = []
    for number, moment in enumerate(moments, start=1):
        path = moment.track.recording.path
        voices = [Voice(m.title, by_path[path]) for m, by_path in zip(models, tracks, strict=True) if path in by_path]
        shown.append(cut_out(moment, point, voices, folder, f"{label}-{kind}-{number:02d}"))
    return shown
