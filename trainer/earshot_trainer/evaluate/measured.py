"""A subject with all that was heard and found, and which operating points it is measured at."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from rich.console import Console

from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.choosing import Choices, choices_to_dict, choose_for, write_presets
from earshot_trainer.evaluate.console import counting, counting_up, say
from earshot_trainer.evaluate.evaluation import Evaluation, evaluate, figures_of
from earshot_trainer.evaluate.event_evidence import event_tracks, figures_at
from earshot_trainer.evaluate.events import EventFigures
from earshot_trainer.evaluate.events_section import ALARMS, EVENTS
from earshot_trainer.evaluate.report import print_choices
from earshot_trainer.evaluate.request import EvaluateRequest
from earshot_trainer.evaluate.sections import Findings, Material
from earshot_trainer.evaluate.subject import STAND_IN, Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject
from earshot_trainer.evaluate.tracks import Scored, Track


@dataclass(frozen=True)
class Measured:
    """A subject with what was heard and found.

    Attributes:
        choices: how its operating points were chosen, if that was done here.
        findings: of the parts of the report, by key.
    """

    subject: Subject
    scored: Scored
    evaluation: Evaluation
    choices: Choices = field(default_factory=dict)
    findings: Mapping[str, Findings] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        chosen = {"choices": choices_to_dict(self.choices)} if self.choices else {}
        return self.evaluation.to_dict() | chosen | {key: found.to_dict() for key, found in self.findings.items()}


def measure(subject: Subject, recordings: Sequence[Recording], request: EvaluateRequest, left_out: int) -> Measured:
    """Let a subject hear the recordings; `left_out` of the selection could not be heard out of fold."""
    jobs = jobs_of(request)
    begin_s = time.monotonic()
    with counting(f"listening, {subject.title}", len(recordings)) as advance:
        evaluation, scored = evaluate(subject, recordings, request.selection, jobs, advance)
    audio_s = sum(track.duration_s for track in next(iter(scored.by_label.values())))
    speed = {"audio_hours": round(audio_s / 3600, 4), "wall_s": round(time.monotonic() - begin_s, 1), "jobs": jobs}
    protocol = evaluation.protocol | ({"heard_by_no_run": left_out} if left_out else {})
    return Measured(subject, scored, replace(evaluation, speed=speed, protocol=protocol))


def hear_events(one: Measured, request: EvaluateRequest, material: Material) -> Measured:
    """Let a subject hear the soundscapes before its points are chosen: they are evidence for the choice."""
    findings: dict[str, Findings] = {}
    events: dict[str, list[Track]] = {}
    for section in (EVENTS, ALARMS):
        if section.key in request.skipped:
            continue
        with counting_up(f"{section.key}, {one.subject.title}") as advance:
            figures = section.measure(one.subject, one.scored, material, advance)
        if isinstance(figures, EventFigures):
            findings[section.key] = figures
            events[figures.label] = event_tracks(figures)
    return replace(one, scored=replace(one.scored, events=events), findings=findings)


def decide(measured: Sequence[Measured], request: EvaluateRequest, console: Console) -> list[Measured]:
    """Give every subject the operating points that it is to be measured at.

    The first keeps its own unless asked to choose. A tagger has none: they are chosen on these very recordings by the
    same search, so that a rival is never held back by its settings. A bare graph decides by the first's.

    Raises:
        OperatorError: presets are to be chosen, and the recordings cannot show what that needs.
    """
    first, *others = measured
    decided = [_decide_first(first, request, console)]
    for other in others:
        if isinstance(other.subject, TaggerSubject):
            decided.append(_choose_if_possible(other, request, console))
        elif other.subject.presets_origin.startswith(STAND_IN):
            decided.append(_decide_as(decided[0].subject, other, request))
        else:
            decided.append(other)
    return decided


def jobs_of(request: EvaluateRequest) -> int:
    """Return how many processes to use."""
    return request.jobs or os.cpu_count() or 1


def _decide_first(first: Measured, request: EvaluateRequest, console: Console) -> Measured:
    path = request.choose_presets
    if path is None:
        is_bare_tagger = isinstance(first.subject, TaggerSubject) and request.presets is None
        return _choose_if_possible(first, request, console) if is_bare_tagger else first
    presets, choices = choose_for(first.scored, partial(say, console))
    print_choices(console, choices, first.subject.title)
    write_presets(path, presets, choices, first.subject, first.scored)
    return replace(_decide_by(first, presets, f"{path.name}, chosen on these recordings", request), choices=choices)


def _choose_if_possible(one: Measured, request: EvaluateRequest, console: Console) -> Measured:
    try:
        presets, choices = choose_for(one.scored, partial(say, console))
    except OperatorError as error:
        say(console, f"{one.subject.title} decides by stand-in points: {error}")
        return one
    print_choices(console, choices, one.subject.title)
    return replace(_decide_by(one, presets, "chosen on these recordings", request), choices=choices)


def _decide_as(first: Subject, other: Measured, request: EvaluateRequest) -> Measured:
    if not set(first.presets.balanced) <= set(other.subject.labels):
        return other
    return _decide_by(other, first.presets, f"those of {first.title}", request)


def _decide_by(one: Measured, presets: Presets, origin: str, request: EvaluateRequest) -> Measured:
    subject = one.subject.with_presets(presets, origin)
    former = one.evaluation
    figures = figures_of(subject, one.scored, request.selection)
    findings = {
        key: figures_at(found, presets) if isinstance(found, EventFigures) else found
        for key, found in one.findings.items()
    }
    evaluation = replace(figures, speed=former.speed, protocol=former.protocol)
    return replace(one, subject=subject, evaluation=evaluation, findings=findings)
