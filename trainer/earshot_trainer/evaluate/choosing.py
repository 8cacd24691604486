"""Operating points for a subject that was just measured, and the file that keeps them with their evidence."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import dataset_hash
from earshot_trainer.evaluate.json_file import write_json
from earshot_trainer.evaluate.operating_points import Choice, Evidence, choose_operating_points
from earshot_trainer.evaluate.pooled_subject import PooledSubject
from earshot_trainer.evaluate.presets import ChosenOn
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Scored

Choices = dict[str, dict[str, Choice]]


def choose_for(scored: Scored, tell: Callable[[str], None]) -> tuple[Presets, Choices]:
    """Choose for every label that the recordings hold.

    `tell` is given a line for each one but `siren` of which they show too little to choose; it has no points then.

    Raises:
        OperatorError: they show too little of sirens, or of every label.
    """
    labels = [label for label, tracks in scored.by_label.items() if any(track.is_positive(label) for track in tracks)]
    labels = labels or list(scored.by_label)
    evidence: dict[str, Evidence] = {}
    for label in labels:
        try:
            evidence[label] = Evidence.of(scored.by_label[label], label, scored.events.get(label, ()))
        except OperatorError as error:
            if label == SIREN or (label == labels[-1] and not evidence):
                raise
            tell(f"{label}: {error}")
    presets, choices = choose_operating_points(evidence)
    return presets, {label: {str(name): choice for name, choice in found.items()} for label, found in choices.items()}


def write_presets(path: Path, presets: Presets, choices: Choices, subject: Subject, scored: Scored) -> None:
    """Keep presets with what they were chosen on and what they gave there.

    Raises:
        OperatorError: the file cannot be written.
    """
    groups = frozenset(recording.group for recording in scored.recordings)
    graphs = {subject.model_sha256: groups}
    if isinstance(subject, PooledSubject):
        graphs = subject.groups_by_graph()
    chosen_on = ChosenOn(
        model_sha256=subject.model_sha256,
        data_sha256=dataset_hash(scored.recordings),
        groups=groups,
        graphs=graphs,
        figures=choices_to_dict(choices, with_points=False),
    )
    write_json(path, presets.model_dump(mode="json") | {"chosen_on": chosen_on.to_dict()})


def choices_to_dict(choices: Choices, *, with_points: bool = True) -> dict[str, dict[str, Any]]:
    """Return JSON types: label -> preset -> what the point gave on its evidence."""
    return {
        label: {preset: _choice_to_dict(choice, with_points=with_points) for preset, choice in found.items()}
        for label, found in choices.items()
    }


def _choice_to_dict(choice: Choice, *, with_points: bool) -> dict[str, Any]:
    interval = [round(bound, 4) for bound in choice.per_hour_interval]
    values = asdict(choice) | {"per_hour": round(choice.per_hour, 4), "per_hour_interval": interval}
    point = values.pop("point")
    return values | ({"point": point.model_dump()} if with_points else {})
