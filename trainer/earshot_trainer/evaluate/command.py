"""One `trainer-cli evaluate`: read, measure, print, write."""

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifests
from earshot_trainer.evaluate.choosing import choices_to_dict, choose_for, write_presets
from earshot_trainer.evaluate.console import counting, counting_up, say
from earshot_trainer.evaluate.evaluation import Evaluation, compare, evaluate, figures_of
from earshot_trainer.evaluate.json_file import write_json
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.pooled_subject import PooledSubject
from earshot_trainer.evaluate.presets import load_presets
from earshot_trainer.evaluate.report import print_choices, print_comparison, print_evaluation
from earshot_trainer.evaluate.request import EvaluateRequest
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import STAND_IN, Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject
from earshot_trainer.evaluate.tracks import Scored

EXIT_DONE, EXIT_PARTLY = 0, 3

SECTIONS: tuple[Section, ...] = ()
"""The parts of the report after tagging and false alarms, in the order of printing."""


@dataclass(frozen=True)
class Measured:
    """A subject with what was heard and found."""

    subject: Subject
    scored: Scored
    evaluation: Evaluation


def run_evaluation(request: EvaluateRequest, console: Console | None = None) -> int:
    """Measure and report; returns the exit code.

    Raises:
        OperatorError: something in the request cannot be used.
        BundleError: a bundle is damaged.
    """
    console = console or Console()
    everything = request.selection.apply(load_manifests([expand_path(name) for name in request.selection.manifests]))
    first, recordings = _open_first(request, everything)
    others = [load_subject(path, request.labels) for path in request.against]
    measured = [_measure(subject, recordings, request) for subject in (first, *others)]
    report: dict[str, Any] = {"command": request.command_line()}
    left_out = len(everything) - len(recordings)
    if left_out:
        say(console, f"left out: {left_out} recordings that every run was trained on")
        measured = [_note_left_out(one, left_out) for one in measured]
    measured, choices = _decide(measured, request, console)
    report |= {"choices": choices[0]} if choices[0] else {}
    print_evaluation(console, measured[0].evaluation)
    rivals = [_compare(console, measured[0], other) for other in measured[1:]]
    parts = _measure_parts(measured, request, console)
    rivals = [
        rival | found | ({"choices": chosen} if chosen else {})
        for rival, found, chosen in zip(rivals, parts[1:], choices[1:], strict=True)
    ]
    report |= parts[0]
    report |= {"against": rivals[0]} if rivals else {}
    report |= {"also_against": rivals[1:]} if rivals[1:] else {}
    if request.json_path is not None:
        write_json(request.json_path, measured[0].evaluation.to_dict() | report)
    _print_written(console, request)
    return EXIT_PARTLY if measured[0].evaluation.problems else EXIT_DONE


def _open_first(request: EvaluateRequest, recordings: list[Recording]) -> tuple[Subject, list[Recording]]:
    """Return the subject that is asked for, and the recordings that it may hear."""
    if not request.runs:
        return _with_presets(load_subject(request.model, request.labels), request), recordings
    pooled = PooledSubject.open(request.runs, recordings)
    heard = [recording for recording in recordings if recording.path in pooled.member_of]
    return _with_presets(pooled, request), heard


def _with_presets(subject: Subject, request: EvaluateRequest) -> Subject:
    if request.presets is None:
        return subject
    presets = load_presets(request.presets)
    unknown = sorted(set(presets.balanced) - set(subject.labels))
    if unknown:
        raise OperatorError(f"{request.presets}: label {unknown[0]!r} is not one of the model's ({subject.labels})")
    return subject.with_presets(presets, request.presets.name)


def _measure(subject: Subject, recordings: list[Recording], request: EvaluateRequest) -> Measured:
    jobs = _jobs(request)
    begin_s = time.monotonic()
    with counting(f"listening, {subject.title}", len(recordings)) as advance:
        evaluation, scored = evaluate(subject, recordings, request.selection, jobs, advance)
    audio_s = sum(track.duration_s for track in next(iter(scored.by_label.values())))
    speed = {"audio_hours": round(audio_s / 3600, 4), "wall_s": round(time.monotonic() - begin_s, 1), "jobs": jobs}
    return Measured(subject, scored, replace(evaluation, speed=speed))


def _note_left_out(measured: Measured, count: int) -> Measured:
    protocol = measured.evaluation.protocol | {"heard_by_no_run": count}
    return replace(measured, evaluation=replace(measured.evaluation, protocol=protocol))


def _decide(
    measured: Sequence[Measured], request: EvaluateRequest, console: Console
) -> tuple[list[Measured], list[dict[str, Any]]]:
    """Give every subject the operating points that it is to be measured at; returns the choices as JSON types.

    The first keeps its own unless asked to choose. A tagger has none: they are chosen on these very recordings by the
    same search. A bare graph decides by the first's.
    """
    decided: list[Measured] = []
    chosen: list[dict[str, Any]] = []
    for one in measured:
        choices: dict[str, Any] = {}
        if not decided:
            given = request.presets is not None
            is_to_choose = request.choose_presets is not None or (isinstance(one.subject, TaggerSubject) and not given)
        else:
            is_to_choose = isinstance(one.subject, TaggerSubject)
        if is_to_choose:
            found, choices = _choose(one, request, console, is_first=not decided)
        elif decided and one.subject.presets_origin.startswith(STAND_IN):
            found = _decide_as(decided[0].subject, one, request)
        else:
            found = one
        decided.append(found)
        chosen.append(choices)
    return decided, chosen


def _decide_as(first: Subject, other: Measured, request: EvaluateRequest) -> Measured:
    if not set(first.presets.balanced) <= set(other.subject.labels):
        return other
    return _decide_by(other, first.presets, f"those of {first.title}", request)


def _choose(
    one: Measured, request: EvaluateRequest, console: Console, *, is_first: bool
) -> tuple[Measured, dict[str, Any]]:
    try:
        presets, choices = choose_for(one.scored)
    except OperatorError as error:
        if is_first and request.choose_presets is not None:
            raise
        say(console, f"{one.subject.title} decides by stand-in points: {error}")
        return one, {}
    print_choices(console, choices, one.subject.title)
    origin = "chosen on these recordings"
    if is_first and request.choose_presets is not None:
        write_presets(request.choose_presets, presets, choices, one.subject, one.scored)
        origin = f"{request.choose_presets.name}, {origin}"
    return _decide_by(one, presets, origin, request), choices_to_dict(choices)


def _decide_by(one: Measured, presets: Presets, origin: str, request: EvaluateRequest) -> Measured:
    subject = one.subject.with_presets(presets, origin)
    former = one.evaluation
    evaluation = replace(
        figures_of(subject, one.scored, request.selection), speed=former.speed, protocol=former.protocol
    )
    return Measured(subject, one.scored, evaluation)


def _compare(console: Console, first: Measured, other: Measured) -> dict[str, Any]:
    gaps = {}
    if not isinstance(first.subject, TaggerSubject) and not isinstance(other.subject, TaggerSubject):
        labels = [label for label in first.evaluation.labels if label in other.scored.by_label]
        gaps = {label: compare(first.scored, other.scored, label) for label in labels}
    print_comparison(console, first.evaluation, other.evaluation, gaps)
    return other.evaluation.to_dict() | {"posterior_gaps": gaps}


def _measure_parts(measured: Sequence[Measured], request: EvaluateRequest, console: Console) -> list[dict[str, Any]]:
    """Measure every part on all subjects and print it; returns the JSON of each subject's findings by part."""
    first = measured[0]
    material = Material.of(first.subject, first.scored.recordings, request.seed, _jobs(request))
    titles = _distinct([one.subject.title for one in measured])
    found: list[dict[str, Any]] = [{} for _ in measured]
    for section in SECTIONS:
        if section.key in request.skipped:
            continue
        shown: dict[str, Any] = {}
        for title, one, values in zip(titles, measured, found, strict=True):
            with counting_up(f"{section.key}, {title}") as advance:
                findings = section.measure(one.subject, one.scored, material, advance)
            if findings is not None:
                values[section.key] = findings.to_dict()
                shown[title] = findings
        if shown:
            section.show(console, shown)
    return found


def _distinct(titles: Sequence[str]) -> list[str]:
    return [title if titles.index(title) == i else f"{title} ({i + 1})" for i, title in enumerate(titles)]


def _jobs(request: EvaluateRequest) -> int:
    return request.jobs or os.cpu_count() or 1


def _print_written(console: Console, request: EvaluateRequest) -> None:
    written = [str(path) for path in (request.json_path, request.choose_presets) if path is not None]
    if written:
        say(console, f"wrote {' and '.join(written)}")
    if request.choose_presets is not None:
        say(console, f"next: trainer-cli package --presets {request.choose_presets} ... (trainer-cli package -h)")
