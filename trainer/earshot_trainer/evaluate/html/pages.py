"""Writing the report: one page, its audio cut-outs and the figures as JSON, in a folder of their own."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path

import jinja2
from markupsafe import Markup

from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.html.clip_panels import (
    class_panels,
    histogram_panels,
    precision_recall_panels,
    table_panels,
)
from earshot_trainer.evaluate.html.cut_outs import MARGINS, CutOut, Voice, cut_out
from earshot_trainer.evaluate.html.error_panels import equal_alarm_figures, error_panels
from earshot_trainer.evaluate.html.moments import Moment, worst_false_alarms, worst_misses
from earshot_trainer.evaluate.html.panels import Panel, Part
from earshot_trainer.evaluate.html.parts import label_parts, speed_part
from earshot_trainer.evaluate.html.report_input import ReportInput, ShownModel
from earshot_trainer.evaluate.html.tables import Row, headline_rows, operating_points_table, protocol_rows
from earshot_trainer.evaluate.point_settings import CERTAIN_MEANS

PAGE_NAME, FIGURES_NAME, AUDIO_FOLDER = "index.html", "report.json", "audio"
TEMPLATES = resources.files("earshot_trainer.evaluate.html") / "templates"


@dataclass(frozen=True, slots=True)
class LabelPage:
    """What the page shows of one label."""

    label: str
    headline: list[Row]
    panels: list[Panel]
    tables: list[Panel]
    parts: list[Part]
    alarms: list[CutOut]
    misses: list[CutOut]
    operating_points: list[Panel]


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
    speed = speed_part(report.models)
    labels = [
        _label_page(folder, report, label, speed if number == 0 else None)
        for number, label in enumerate(report.subject.evaluation.labels)
    ]
    return _template().render(
        titles=report.titles,
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
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: (TEMPLATES / name).read_text(encoding="utf-8")),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name in ("report.css", "report.js"):
        environment.globals[name.replace(".", "_")] = Markup((TEMPLATES / name).read_text(encoding="utf-8"))  # noqa: S704
    return environment.get_template("report.html.j2")


def _label_page(folder: Path, report: ReportInput, label: str, speed: Part | None) -> LabelPage:
    models = [model for model in report.models if label in model.evaluation.labels]
    parts = label_parts(models, label) + ([speed] if speed is not None else [])
    figures = equal_alarm_figures(report, label) + [figure for part in parts for figure in part.headline]
    rows = [row for figure in figures if (row := figure.row(report.titles)) is not None]
    subject = report.subject
    tracks = [*subject.tracks(label, "clip"), *subject.tracks(label, "long")]
    alarms = worst_false_alarms(tracks, label, subject.presets, report.most_moments)
    misses = worst_misses(tracks, label, subject.presets, report.most_moments)
    return LabelPage(
        label=label,
        headline=headline_rows(report.models, label) + rows,
        panels=[
            *precision_recall_panels(models, label),
            *error_panels(report, models, label),
            *histogram_panels(models, label),
            *class_panels(models, label),
        ],
        tables=table_panels(models, label),
        parts=parts,
        alarms=_cut_outs(folder, models, label, alarms, "false-alarm"),
        misses=_cut_outs(folder, models, label, misses, "miss"),
        operating_points=[
            Panel(
                f"{label}: operating points, {model.title}",
                note=f"{CERTAIN_MEANS}.",
                table=operating_points_table(model, label),
                wide=True,
            )
            for model in models
        ],
    )


def _cut_outs(folder: Path, models: list[ShownModel], label: str, moments: list[Moment], kind: str) -> list[CutOut]:
    point = models[0].presets.balanced[label]
    tracks = [{track.recording.path: track for track in model.scored.by_label[label]} for model in models]
    shown = []
    for number, moment in enumerate(moments, start=1):
        path = moment.track.recording.path
        voices = [Voice(m.title, by_path[path]) for m, by_path in zip(models, tracks, strict=True) if path in by_path]
        shown.append(cut_out(moment, point, voices, folder, f"{label}-{kind}-{number:02d}"))
    return shown
