"""False alarms against misses on the page: the whole curve as a threshold moves, and models at equal false alarms."""

from collections.abc import Sequence

from earshot_trainer.evaluate.equal_alarms import Contender, SweepPoint, clip_recall, sweep
from earshot_trainer.evaluate.events import EventFigures
from earshot_trainer.evaluate.html.panels import Figure, Panel
from earshot_trainer.evaluate.html.plots import plot_detection_error
from earshot_trainer.evaluate.html.report_input import ReportInput, ShownModel

CLIPS, PRESET = "clips", "balanced"


def error_panels(report: ReportInput, models: Sequence[ShownModel], label: str) -> list[Panel]:
    """Return detection error trade-off curves: over clips, and over events at each SNR where rivals were compared."""
    curves = _compared_curves(report, label)
    if CLIPS not in curves:
        own = {m.title: curve for m in models if (curve := _sweep_clips(m, label))}
        curves = ({CLIPS: own} if own else {}) | curves
    panels = []
    for what, by_title in curves.items():
        hours = next(found.hours for m in models if (found := m.evaluation.labels[label].false_alarms.get(PRESET)))
        shown = [model for model in models if model.title in by_title]
        points = {m.title: _marks(m, label, what) for m in shown}
        ordered = {m.title: by_title[m.title] for m in shown}
        name = f"{what} with {label}" if what == CLIPS else f"{label} {what}"
        note = (
            f"Misses: {name}. False alarms: detector on {hours:.2f} h of long recordings without {label}, as enter of "
            "the balanced point moves. Marks: the presets. Lower left is better."
        )
        title = "Detection error trade-off" + ("" if what == CLIPS else f", {what}")
        panels.append(Panel(title, note, plot_detection_error(ordered, points, hours, what)))
    return panels


def equal_alarm_figures(report: ReportInput, label: str) -> list[Figure]:
    """Return what the subject finds at each rival's number of false alarms, beside what the rival finds."""
    figures = []
    for title, compared in report.comparisons.items():
        for one in compared:
            if one.label == label and one.preset == PRESET:
                values = {
                    report.subject.title: None if one.mine is None else one.mine.recall,
                    title: one.rival.recall,
                }
                note = f"{one.what}, both at {one.rival.false_alarms} false alarms or fewer in {one.hours:.2f} h"
                name = f"{one.what} found at equal false alarms"
                figures.append(Figure(name, note, values, "{:.3f}".format))
    return figures


def _compared_curves(report: ReportInput, label: str) -> dict[str, dict[str, list[SweepPoint]]]:
    """Return what -> model title -> curve, from comparisons that were made anyway."""
    curves: dict[str, dict[str, list[SweepPoint]]] = {}
    for title, compared in report.comparisons.items():
        for one in compared:
            if one.label == label and one.preset == PRESET:
                by_title = curves.setdefault(one.what, {})
                by_title[report.subject.title] = one.mine_curve
                by_title[title] = one.rival_curve
    return curves


def _sweep_clips(model: ShownModel, label: str) -> list[SweepPoint]:
    clips = model.tracks(label, "clip")
    negatives = [track for track in model.tracks(label, "long") if not track.is_positive(label)]
    if not negatives or not any(track.is_positive(label) for track in clips):
        return []
    point = model.presets.balanced[label]
    return sweep(Contender(model.title, point, negatives, clip_recall(clips, label)), label)


def _marks(model: ShownModel, label: str, what: str) -> dict[str, tuple[float, float]]:
    """Return false alarms per hour and the share missed, by preset."""
    figures = model.evaluation.labels[label]
    recalls: dict[str, float] = {}
    events = model.findings.get("events")
    if what == CLIPS and figures.tagging is not None:
        recalls = {preset: decided.recall for preset, decided in figures.tagging.at_presets.items()}
    elif isinstance(events, EventFigures):
        for at_snr in events.by_snr:
            if what == f"events at {at_snr.snr_db:+g} dB SNR":
                recalls = {preset: point.recall for preset, point in at_snr.presets.items()}
    return {
        preset: (figures.false_alarms[preset].per_hour, 1 - recall)
        for preset, recall in recalls.items()
        if preset in figures.false_alarms
    }
