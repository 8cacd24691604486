"""One `trainer-cli evaluate`: read, measure, print, write."""

import json
import os
import shlex
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, dataset_hash, expand_path, load_manifests
from earshot_trainer.evaluate.console import counting, say
from earshot_trainer.evaluate.evaluation import Evaluation, Selection, compare, evaluate, figures_of
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.operating_points import Choice, Evidence, choose_operating_points
from earshot_trainer.evaluate.presets import ChosenOn, load_presets
from earshot_trainer.evaluate.report import print_choices, print_comparison, print_evaluation
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored

EXIT_DONE, EXIT_PARTLY = 0, 3


@dataclass(frozen=True)
class EvaluateRequest:
    """What the command line asked for."""

    model: Path | None
    labels: tuple[str, ...]
    presets: Path | None
    selection: Selection
    against: Path | None
    choose_presets: Path | None
    jobs: int | None
    json_path: Path | None

    def command_line(self) -> str:
        """Return the command that measures the model again, without `--against`; report and card carry it."""
        words = ["trainer-cli", "evaluate"]
        if self.model is not None:
            words += ["--onnx", str(self.model)] if self.model.suffix == ".onnx" else [str(self.model)]
        selection = self.selection
        options: dict[str, tuple[object, ...]] = {
            "--label": () if self.labels == ("siren",) else self.labels,
            "--presets": (self.presets,) if self.presets else (),
            "--data": selection.manifests,
            "--fold": selection.folds,
            "--source": selection.sources,
            "--exclude-group": selection.excluded_groups,
        }
        words += [word for option, values in options.items() for value in values for word in (option, str(value))]
        return shlex.join(words)


def run_evaluation(request: EvaluateRequest, console: Console | None = None) -> int:
    """Measure and report; returns the exit code.

    Raises:
        OperatorError: something in the request cannot be used.
        BundleError: a bundle is damaged.
    """
    console = console or Console()
    subject = _load(request.model, request)
    other = _load(request.against, request) if request.against else None
    recordings = request.selection.apply(load_manifests([expand_path(name) for name in request.selection.manifests]))
    evaluation, scored = _measure(subject, recordings, request)
    report: dict[str, Any] = {}
    if request.choose_presets is not None:
        subject, choices = _choose(subject, scored, request.choose_presets)
        evaluation = replace(figures_of(subject, scored, request.selection), speed=evaluation.speed)
        print_choices(console, choices)
        report["choices"] = {label: _to_dict(found) for label, found in choices.items()}
    print_evaluation(console, evaluation)
    if other is not None:
        second, other_scored = _measure(other, recordings, request)
        gaps = {label: compare(scored, other_scored, label) for label in evaluation.labels}
        print_comparison(console, evaluation, second, gaps)
        report["against"] = second.to_dict() | {"posterior_gaps": gaps}
    if request.json_path is not None:
        write_json(request.json_path, evaluation.to_dict() | {"command": request.command_line()} | report)
    _print_written(console, request)
    return EXIT_PARTLY if evaluation.problems else EXIT_DONE


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write a report or presets.

    Raises:
        OperatorError: the file cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    except OSError as error:
        raise OperatorError(f"cannot write {path}: {error.strerror}; name another file") from error


def _load(path: Path | None, request: EvaluateRequest) -> Subject:
    subject = load_subject(path, request.labels)
    if request.presets is None:
        return subject
    presets = load_presets(request.presets)
    unknown = sorted(set(presets.balanced) - set(subject.labels))
    if unknown:
        raise OperatorError(f"{request.presets}: label {unknown[0]!r} is not one of the model's ({subject.labels})")
    return subject.with_presets(presets, request.presets.name)


def _measure(subject: Subject, recordings: list[Recording], request: EvaluateRequest) -> tuple[Evaluation, Scored]:
    jobs = request.jobs or os.cpu_count() or 1
    begin_s = time.monotonic()
    with counting(f"listening, {subject.title}", len(recordings)) as advance:
        evaluation, scored = evaluate(subject, recordings, request.selection, jobs, advance)
    audio_s = sum(track.duration_s for track in next(iter(scored.by_label.values())))
    speed = {"audio_hours": round(audio_s / 3600, 4), "wall_s": round(time.monotonic() - begin_s, 1), "jobs": jobs}
    return replace(evaluation, speed=speed), scored


def _choose(subject: Subject, scored: Scored, path: Path) -> tuple[Subject, dict[str, dict[str, Choice]]]:
    labels = [label for label, tracks in scored.by_label.items() if any(track.is_positive(label) for track in tracks)]
    evidence = {label: Evidence.of(scored.by_label[label], label) for label in labels or subject.labels}
    presets, choices = choose_operating_points(evidence)
    chosen_on = ChosenOn(
        model_sha256=subject.model_sha256,
        data_sha256=dataset_hash(scored.recordings),
        groups=frozenset(recording.group for recording in scored.recordings),
    )
    write_json(path, presets.model_dump(mode="json") | {"chosen_on": chosen_on.to_dict()})
    named = {label: {str(name): choice for name, choice in found.items()} for label, found in choices.items()}
    return subject.with_presets(presets, f"{path.name}, chosen on these recordings"), named


def _to_dict(found: dict[str, Choice]) -> dict[str, Any]:
    return {preset: asdict(choice) | {"point": choice.point.model_dump()} for preset, choice in found.items()}


def _print_written(console: Console, request: EvaluateRequest) -> None:
    written = [str(path) for path in (request.json_path, request.choose_presets) if path is not None]
    if written:
        say(console, f"wrote {' and '.join(written)}")
    if request.choose_presets is not None:
        say(console, f"next: trainer-cli package --presets {request.choose_presets} ... (trainer-cli package -h)")
