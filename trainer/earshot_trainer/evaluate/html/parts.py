"""What each part of the evaluation shows on the page; a part that was not measured shows nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from earshot_trainer.evaluate.html.event_panels import show_events
from earshot_trainer.evaluate.html.kind_panels import show_kinds
from earshot_trainer.evaluate.html.other_panels import show_folds, show_nested, show_speed
from earshot_trainer.evaluate.html.panels import Part
from earshot_trainer.evaluate.html.report_input import ShownModel
from earshot_trainer.evaluate.html.robustness_panels import show_robustness

LABEL_PARTS: dict[str, Callable[[Mapping[str, Any], str], Part | None]] = {
    "events": show_events,
    "home_alarms": show_events,
    "robustness": show_robustness,
    "kinds": show_kinds,
    "folds": show_folds,
    "nested": show_nested,
}
"""Key of a part of the evaluation -> (findings by model title, label) -> what to show."""


def label_parts(models: Sequence[ShownModel], label: str) -> list[Part]:
    """Return what was measured of one label, in the order of LABEL_PARTS."""
    parts = [show(found, label) for key, show in LABEL_PARTS.items() if (found := _findings(models, key))]
    return [part for part in parts if part is not None]


def speed_part(models: Sequence[ShownModel]) -> Part | None:
    """Return how fast the models are; None if nobody was timed."""
    found = _findings(models, "speed")
    return show_speed(found) if found else None


def _findings(models: Sequence[ShownModel], key: str) -> dict[str, Any]:
    return {model.title: model.findings[key] for model in models if model.findings.get(key) is not None}
