"""Operating points, comparison and verdict: calibrate, evaluate, gate."""

import os
from typing import Final

from rich.table import Table

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint, Presets
from earshot_trainer.corpus.recordings import dataset_hash
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.console import counting
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.evaluate.tracks import score_recordings
from earshot_trainer.retraining.calibration import Shift, comparable_points
from earshot_trainer.retraining.comparing import Heard, figures_of, had, hear
from earshot_trainer.retraining.gate import PART_TITLES, Figure, GateReport, Had, judge
from earshot_trainer.retraining.own_conditions import street_clips, under_conditions
from earshot_trainer.retraining.parts import SPLIT_NAME, active_bundle, candidate_of, material_of, own_recordings
from earshot_trainer.retraining.stage import EXIT_STOPPED, Stage

PRESETS_NAME: Final = "presets.json"
CALIBRATION_NAME: Final = "calibration.json"
EVALUATION_NAME: Final = "evaluation.json"
GATE_NAME: Final = "gate.json"
OWN_TEST_NAME: Final = "own_test"
MANY_RECORDINGS: Final = 400
"""From so many on, several processes listen."""


def calibrate(stage: Stage) -> None:
    """Give the candidate operating points that mean the same as the active model's."""
    run = stage.run
    active = active_bundle(stage.home, run)
    labels = active.manifest.labels
    material = material_of(stage.home, run, own_recordings(run))
    stage.read(f"model {active.manifest.version}; {len(material.calibration)} recordings to calibrate on")
    subjects = (BundleSubject.of_bundle(active, "active"), candidate_of(run, labels))
    with counting("listening", 2 * len(material.calibration)) as advance:
        jobs = _jobs(material.calibration)
        scored = [score_recordings(subject, material.calibration, jobs, advance) for subject in subjects]
    presets = active.manifest.presets
    points: dict[str, dict[str, OperatingPoint]] = {str(name): {} for name in PRESET_SENSITIVITY}
    shifts: list[Shift] = []
    for label in presets.balanced:
        theirs, ours = ([t for t in one.by_label[label] if not t.is_positive(label)] for one in scored)
        moved, shift = comparable_points(theirs, ours, label, presets)
        shifts.append(shift)
        for name, point in moved.items():
            points[name][label] = point
        enter = (presets.balanced[label].enter, points["balanced"][label].enter)
        by = ", ".join(f"{name} {value:+.2f}" for name, value in reversed(shift.applied.items()))
        stage.note(f"{label}: thresholds moved by {by} log-odds, balanced {enter[0]:g} -> {enter[1]:g}")
    made = Presets(quiet=points["quiet"], balanced=points["balanced"], sensitive=points["sensitive"])
    stage.write(run.write(PRESETS_NAME, made.model_dump(mode="json")))
    values = {
        "active": active.manifest.version,
        "data_sha256": dataset_hash(material.calibration),
        "shifts": [shift.to_dict() for shift in shifts],
    }
    stage.write(run.write(CALIBRATION_NAME, values))


def evaluate(stage: Stage) -> None:
    """Let both models hear the base test set, the long negatives and the household's held-out recordings."""
    run = stage.run
    active, own = active_bundle(stage.home, run), own_recordings(run)
    material = material_of(stage.home, run, own)
    stage.read(f"model {active.manifest.version}; {len(material.test)} recordings, {len(own.held_out)} own ones")
    presets = load_presets(run / PRESETS_NAME)
    subjects = (
        BundleSubject.of_bundle(active, "active"),
        candidate_of(run, active.manifest.labels, presets),
    )
    conditions = under_conditions(own.held_out, street_clips(material.test), run / OWN_TEST_NAME)
    with counting("listening", 2 * (len(material.test) + len(conditions.recordings))) as advance:
        jobs = _jobs(material.test)
        heard: list[Heard] = [hear(subject, material.test, conditions, jobs, advance) for subject in subjects]
    figures = figures_of(heard[0], heard[1], run.request.settings.gate)
    what = had(heard[0], active.manifest.labels[0], material.corpora)
    if run.read(SPLIT_NAME, "split").get("same_sitting"):
        what = what.model_copy(update={"same_sitting": True})
    values = {
        "active": active.manifest.version,
        "candidate_sha256": heard[1].subject.model_sha256,
        "data_sha256": {"test": dataset_hash(material.test), "own": dataset_hash(own.held_out)},
        "had": what.model_dump(),
        "figures": [figure.model_dump() for figure in figures],
    }
    stage.write(run.write(EVALUATION_NAME, values), f"{len(figures)} figures")


def gate(stage: Stage) -> None:
    """Judge the figures; `stop` ends the round unless it is forced."""
    run = stage.run
    values = run.read(EVALUATION_NAME, "evaluate")
    stage.read(f"{run / EVALUATION_NAME}")
    report = judge(
        [Figure.model_validate(one) for one in values["figures"]], Had.model_validate(values["had"]), values["active"]
    )
    if run.request.force:
        report = report.with_force()
    stage.write(run.write(GATE_NAME, report.model_dump(mode="json")))
    stage.console.print(gate_table(report))
    for line in gate_lines(report):
        stage.note(line)
    stage.exit_code = EXIT_STOPPED if report.outcome == "stop" else 0


def gate_table(report: GateReport) -> Table:
    """Return all figures of both models."""
    table = Table(title=f"candidate against {report.active_version}", title_justify="left")
    for column in ("where", "figure", "active", "candidate", "may be worse by", ""):
        table.add_column(column)
    colours = {"better": "green", "as good": "", "worse": "red"}
    for figure in report.figures:
        colour = colours[figure.verdict]
        table.add_row(
            PART_TITLES[figure.part],
            f"{figure.label}: {figure.what}",
            f"{figure.active:.3g}",
            f"{figure.candidate:.3g}",
            "any amount" if figure.margin >= 1 and figure.part == "own" else f"{figure.margin:.3g}",
            f"[{colour}]{figure.verdict}[/]" if colour else figure.verdict,
        )
    return table


def gate_lines(report: GateReport) -> list[str]:
    """Return the verdict in lines for people."""
    lines = [f"compared on {report.had}", *report.reasons]
    if report.forced:
        lines.append(f"the gate said {report.judged}; promoted all the same, by --force, which is recorded")
    verdicts = {
        "promote": "passed: it may take the active model's place",
        "shadow": "passed as far as could be seen: it may run in the shadow; --force promotes it",
        "stop": "stopped; --force goes on all the same",
    }
    return [*lines, f"gate: {verdicts[report.outcome]}"]


def show_gate(stage: Stage) -> GateReport:
    """Return the verdict that the stage `gate` wrote."""
    return GateReport.model_validate(stage.run.read(GATE_NAME, "gate"))


def _jobs(recordings: tuple[object, ...]) -> int:
    return min(4, os.cpu_count() or 1) if len(recordings) >= MANY_RECORDINGS else 1
