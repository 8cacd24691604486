"""Operating points, comparison and verdict: calibrate, evaluate, gate."""

import os
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from rich.table import Table

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint, Presets
from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.console import counting
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.evaluate.tracks import Track, score_recordings
from earshot_trainer.retraining.calibration import Shift, comparable_points
from earshot_trainer.retraining.compared import compared_with
from earshot_trainer.retraining.comparing import Heard, figures_of, had, hear
from earshot_trainer.retraining.gate import PART_TITLES, Figure, GateReport, Had, NewLabel, judge
from earshot_trainer.retraining.new_label_figures import choose_points, new_label_figures
from earshot_trainer.retraining.own_conditions import street_clips, under_conditions
from earshot_trainer.retraining.parts import (
    SPLIT_NAME,
    active_bundle,
    added_labels,
    candidate_of,
    material_of,
    own_recordings,
)
from earshot_trainer.retraining.stage import EXIT_STOPPED, Stage

PRESETS_NAME: Final = "presets.json"
CALIBRATION_NAME: Final = "calibration.json"
EVALUATION_NAME: Final = "evaluation.json"
GATE_NAME: Final = "gate.json"
OWN_TEST_NAME: Final = "own_test"
MANY_RECORDINGS: Final = 400
"""From so many on, several processes listen."""


def calibrate(stage: Stage) -> None:
    """Give the candidate operating points that mean the same as the active model's; those of added labels are chosen.

    An added label's row is learnt anew each time, so that there is nothing to move its thresholds from.

    Raises:
        OperatorError: see `compared_with`.
    """
    run = stage.run
    active = active_bundle(stage.home, run)
    own = own_recordings(run)
    material = material_of(stage.home, run, own)
    stage.read(f"model {active.manifest.version}; {len(material.calibration)} recordings to calibrate on")
    candidate, compared = candidate_of(run), compared_with(run, active)
    subjects = [candidate, *(BundleSubject.of_bundle(bundle, "compared with") for bundle, _ in compared)]
    with counting("listening", len(subjects) * len(material.calibration)) as advance:
        jobs = _jobs(material.calibration)
        heard = [score_recordings(one, material.calibration, jobs, advance).by_label for one in subjects]
    ours, *theirs = heard
    points: dict[str, dict[str, OperatingPoint]] = {str(name): {} for name in PRESET_SENSITIVITY}
    shifts: list[Shift] = []
    for (bundle, labels), tracks in zip(compared, theirs, strict=True):
        presets = bundle.manifest.presets
        for label in labels:
            moved, shift = comparable_points(_without(tracks, label), _without(ours, label), label, presets)
            shifts.append(shift)
            for name, point in moved.items():
                points[name][label] = point
            enter = (presets.balanced[label].enter, points["balanced"][label].enter)
            by = ", ".join(f"{name} {value:+.2f}" for name, value in reversed(shift.applied.items()))
            stage.note(f"{label}: thresholds moved by {by} log-odds, balanced {enter[0]:g} -> {enter[1]:g}")
    chosen = _choose_added(stage, ours, candidate, own.held_out, points)
    made = Presets(quiet=points["quiet"], balanced=points["balanced"], sensitive=points["sensitive"])
    stage.write(run.write(PRESETS_NAME, made.model_dump(mode="json")))
    values = {
        "active": active.manifest.version,
        "data_sha256": dataset_hash(material.calibration),
        "shifts": [shift.to_dict() for shift in shifts],
        "chosen": chosen,
    }
    stage.write(run.write(CALIBRATION_NAME, values))


def _without(tracks: dict[str, list[Track]], label: str) -> list[Track]:
    return [track for track in tracks[label] if not track.is_positive(label)]


def _choose_added(
    stage: Stage,
    calibration: dict[str, list[Track]],
    candidate: BundleSubject,
    held_out: Sequence[Recording],
    points: dict[str, dict[str, OperatingPoint]],
) -> dict[str, Any]:
    """Add the points of every added label to `points`; returns what each gave on what it was chosen on, JSON."""
    added = added_labels(stage.run)
    own = score_recordings(candidate, held_out, 1).by_label if added else {}
    figures: dict[str, Any] = {}
    for label in added:
        choices = choose_points(calibration[label], own[label], label)
        for name, choice in choices.items():
            points[name][label] = choice.point
        figures[label] = {
            name: asdict(choice) | {"point": choice.point.model_dump()} for name, choice in choices.items()
        }
        one = choices["balanced"]
        stage.note(
            f"{label}: thresholds chosen, balanced {one.point.enter:g}: finds {one.recall:.0%} of the held-out "
            f"recordings, {one.false_alarms} false alarms in {one.hours:.2f} h to calibrate on"
        )
    return figures


def evaluate(stage: Stage) -> None:
    """Let both models hear the base test set, the long negatives and the household's held-out recordings."""
    run = stage.run
    active, own = active_bundle(stage.home, run), own_recordings(run)
    material, settings = material_of(stage.home, run, own), run.request.settings.gate
    stage.read(f"model {active.manifest.version}; {len(material.test)} recordings, {len(own.held_out)} own ones")
    subjects = (BundleSubject.of_bundle(active, "active"), candidate_of(run, load_presets(run / PRESETS_NAME)))
    conditions = under_conditions(own.held_out, street_clips(material.test), run / OWN_TEST_NAME)
    with counting("listening", 2 * (len(material.test) + len(conditions.recordings))) as advance:
        jobs = _jobs(material.test)
        heard: list[Heard] = [hear(subject, material.test, conditions, jobs, advance) for subject in subjects]
    figures = figures_of(heard[0], heard[1], settings)
    new = [label for label in added_labels(run) if label not in active.manifest.labels]
    for label in subjects[1].presets.balanced:
        if label not in active.manifest.presets.balanced and label not in new:
            stage.note(f"{label}: compared with nothing; model {active.manifest.version} does not hear it")
    what = had(heard[0], active.manifest.labels[0], material.corpora)
    if run.read(SPLIT_NAME, "split").get("same_sitting"):
        what = what.model_copy(update={"same_sitting": True})
    values = {
        "active": active.manifest.version,
        "candidate_sha256": heard[1].subject.model_sha256,
        "data_sha256": {"test": dataset_hash(material.test), "own": dataset_hash(own.held_out)},
        "had": what.model_dump(),
        "figures": [figure.model_dump() for figure in figures],
        "new_labels": [new_label_figures(heard[1], label, settings).model_dump() for label in new],
    }
    stage.write(run.write(EVALUATION_NAME, values), f"{len(figures)} figures")


def gate(stage: Stage) -> None:
    """Judge the figures; `stop` ends the round unless it is forced."""
    run = stage.run
    values = run.read(EVALUATION_NAME, "evaluate")
    stage.read(f"{run / EVALUATION_NAME}")
    report = judge(
        [Figure.model_validate(one) for one in values["figures"]],
        Had.model_validate(values["had"]),
        values["active"],
        [NewLabel.model_validate(one) for one in values.get("new_labels", ())],
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
    lines = [f"compared on {report.had}", *map(str, report.new_labels), *report.reasons]
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
