"""Subjects of an evaluation."""

from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import PRESET_SENSITIVITY, Presets
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.subject import Subject


def sirens_alone() -> Subject:
    """The shipped model, deciding about sirens only."""
    subject = load_subject(None)
    points = {name: {SIREN: getattr(subject.presets, name)[SIREN]} for name in PRESET_SENSITIVITY}
    return subject.with_presets(Presets.model_validate(points), "sirens alone")
