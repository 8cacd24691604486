"""One `trainer-cli evaluate`: read, measure, print, write."""

import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_PARTLY
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifests
from earshot_trainer.evaluate.console import counting_up, say
from earshot_trainer.evaluate.equal_alarms import EQUAL_ALARMS, EqualAlarms, print_equal_alarms
from earshot_trainer.evaluate.evaluation import check_present, compare
from earshot_trainer.evaluate.events_section import ALARMS, EVENTS
from earshot_trainer.evaluate.folds import FOLDS
from earshot_trainer.evaluate.json_file import write_json
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.measured import Measured, decide, hear_events, jobs_of, measure
from earshot_trainer.evaluate.nested_choice import NESTED
from earshot_trainer.evaluate.pooled_subject import PooledSubject
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.evaluate.report import print_comparison, print_evaluation
from earshot_trainer.evaluate.request import EvaluateRequest
from earshot_trainer.evaluate.rivalry import Contestant, compare_with_rival
from earshot_trainer.evaluate.robustness_section import ROBUSTNESS
from earshot_trainer.evaluate.sections import Findings, Material, Section
from earshot_trainer.evaluate.siren_kinds_section import SIREN_KINDS
from earshot_trainer.evaluate.speed import SPEED
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject

WIDTH = 150
"""Columns of what is printed where there is no terminal."""

SECTIONS: tuple[Section, ...] = (FOLDS, NESTED, EVENTS, ALARMS, ROBUSTNESS, SIREN_KINDS, SPEED)
"""The parts of the report after tagging and false alarms, in the order of printing."""


def run_evaluation(request: EvaluateRequest, console: Console | None = None) -> int:
    """Measure and report; returns the exit code.

    Raises:
        OperatorError: something in the request cannot be used.
        BundleError: a bundle is damaged.
    """
    console = console or Console(width=None if sys.stdout.isatty() else WIDTH)
    selected = request.selection.apply(load_manifests([expand_path(name) for name in request.selection.manifests]))
    first, others, recordings = _open_subjects(request, selected)
    check_present(recordings)
    left_out = len(selected) - len(recordings)
    if left_out:
        say(console, f"left out: {left_out} recordings that every run was trained on")
    measured = [measure(subject, recordings, request, left_out) for subject in (first, *others)]
    material = Material.of(first, measured[0].scored.recordings, request.seed, jobs_of(request))
    measured = decide([hear_events(one, request, material) for one in measured], request, console)
    print_evaluation(console, measured[0].evaluation)
    gaps = [_compare(console, measured[0], other) for other in measured[1:]]
    measured = _measure_parts(measured, material, request, console)
    equal = [_compare_at_equal_alarms(console, measured, number, request) for number in range(1, len(measured))]
    rivals = [
        one.to_dict() | {"posterior_gaps": gap, EQUAL_ALARMS: [comparison.to_dict() for comparison in found]}
        for one, gap, found in zip(measured[1:], gaps, equal, strict=True)
    ]
    report = measured[0].to_dict() | {"command": request.command_line()}
    report |= {"against": rivals[0], "also_against": rivals[1:]} if rivals else {}
    if request.json_path is not None:
        write_json(request.json_path, report)
    if request.report is not None:
        _write_page(request.report, measured, [[], *equal], report)
    _print_written(console, request)
    return EXIT_PARTLY if measured[0].evaluation.problems else EXIT_DONE


def _open_subjects(
    request: EvaluateRequest, recordings: list[Recording]
) -> tuple[Subject, list[Subject], list[Recording]]:
    """Return the subject that is asked for, the others, and the recordings that all of them may hear."""
    first = (
        PooledSubject.open(request.runs, recordings) if request.runs else load_subject(request.model, request.labels)
    )
    others: list[Subject] = []
    if request.against_runs:
        others.append(PooledSubject.open(request.against_runs, recordings))
    others += [load_subject(path, request.labels) for path in request.against]
    for subject in (first, *others):
        if isinstance(subject, PooledSubject):
            recordings = [recording for recording in recordings if recording.path in subject.member_of]
    if not recordings:
        raise OperatorError("--run and --against-run held out different recordings; name runs of the same folds")
    return _with_presets(first, request), others, recordings


def _with_presets(subject: Subject, request: EvaluateRequest) -> Subject:
    if request.presets is None:
        return subject
    presets = load_presets(request.presets)
    unknown = sorted(set(presets.balanced) - set(subject.labels))
    if unknown:
        raise OperatorError(f"{request.presets}: label {unknown[0]!r} is not one of the model's ({subject.labels})")
    return subject.with_presets(presets, request.presets.name)


def _compare(console: Console, first: Measured, other: Measured) -> dict[str, dict[str, float]]:
    """Print two subjects side by side; returns how far their posteriors are apart, where they can be compared."""
    gaps = {}
    if not isinstance(first.subject, TaggerSubject) and not isinstance(other.subject, TaggerSubject):
        labels = [label for label in first.evaluation.labels if label in other.scored.by_label]
        gaps = {label: compare(first.scored, other.scored, label) for label in labels}
    print_comparison(console, first.evaluation, other.evaluation, gaps)
    return gaps


def _measure_parts(
    measured: Sequence[Measured], material: Material, request: EvaluateRequest, console: Console
) -> list[Measured]:
    """Measure every part on all subjects, unless it was before, and print it."""
    found: list[dict[str, Findings]] = [{} for _ in measured]
    for section in SECTIONS:
        if section.key in request.skipped:
            continue
        shown: dict[str, Findings] = {}
        for title, one, values in zip(_titles(measured), measured, found, strict=True):
            findings = one.findings.get(section.key)
            if findings is None:
                with counting_up(f"{section.key}, {title}") as advance:
                    findings = section.measure(one.subject, one.scored, material, advance)
            if findings is not None:
                values[section.key] = shown[title] = findings
        if shown:
            section.show(console, shown)
    return [replace(one, findings=values) for one, values in zip(measured, found, strict=True)]


def _compare_at_equal_alarms(
    console: Console, measured: Sequence[Measured], number: int, request: EvaluateRequest
) -> list[EqualAlarms]:
    """Compare the first with another one and print it."""
    if EQUAL_ALARMS in request.skipped:
        return []
    first, rival = (
        Contestant(title, one.subject.presets, one.scored, one.findings.get(EVENTS.key))
        for title, one in ((_titles(measured)[place], measured[place]) for place in (0, number))
    )
    found = compare_with_rival(first, rival)
    if found:
        print_equal_alarms(console, found)
    return found


def _titles(measured: Sequence[Measured]) -> list[str]:
    """Return the subjects' titles, made different from one another."""
    titles = [one.subject.title for one in measured]
    return [title if titles.index(title) == i else f"{title} ({i + 1})" for i, title in enumerate(titles)]


def _write_page(
    folder: Path, measured: Sequence[Measured], equal: Sequence[list[EqualAlarms]], report: dict[str, Any]
) -> None:
    """Write the page to read and listen to, with all figures beside it.

    Raises:
        OperatorError: the folder cannot be written.
    """
    from earshot_trainer.evaluate.html.pages import write_report
    from earshot_trainer.evaluate.html.report_input import ReportInput, ShownModel

    models = tuple(
        ShownModel(title, one.evaluation, one.scored, {**one.findings, EQUAL_ALARMS: found})
        for title, one, found in zip(_titles(measured), measured, equal, strict=True)
    )
    write_report(folder, ReportInput(models, command=report["command"], document=report))


def _print_written(console: Console, request: EvaluateRequest) -> None:
    paths = (request.json_path, request.choose_presets, request.report and request.report / "index.html")
    written = [str(path) for path in paths if path is not None]
    if written:
        say(console, f"wrote {' and '.join(written)}")
    if request.choose_presets is not None:
        say(console, f"next: trainer-cli package --presets {request.choose_presets} ... (trainer-cli package -h)")
