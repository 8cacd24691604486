"""What was measured elsewhere, cut down to what a manifest and a model card carry."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.false_alarms import poisson_interval

HELD_OUT = "held_out"
"""Evaluations whose name begins so are claims about sounds that the measured model never heard."""
SHIPPED = "shipped"
QUANTIZATION = "quantization"

OPERATING_POINTS = "operating_points"
"""The manifest's metric that says in short what each preset gives; see `operating_point_figures`."""

_TOO_LONG = frozenset(
    {"alarms", "classes", "groups", "missed", "problems", "manifests"}
    | {"outcomes", "extra_detections", "by_group", "definitions", "mine_curve", "rival_curve", "points"}
    | {"change", "change_interval", "found", "not_measured", "left_out", "segment_based", "settings"}
)
"""Keys that list single clips, sounds, alarms or thresholds, or repeat what stands beside them; a number stays."""

_OF_A_RIVAL = frozenset({"subject", "labels", "equal_alarms", "speed"})
"""What is kept of a model that stood beside the measured one."""


def load_metrics(named_files: tuple[str, ...]) -> dict[str, Any]:
    """Read `NAME=FILE` arguments into one mapping.

    Raises:
        OperatorError: an argument without a name, a file that is missing or no JSON, a name given twice.
    """
    metrics: dict[str, Any] = {}
    for argument in named_files:
        name, separator, text = argument.partition("=")
        if not separator or not name.isidentifier():
            raise OperatorError(f"--metrics {argument}: expected NAME=FILE, such as {HELD_OUT}=evaluation.json")
        if name in metrics:
            raise OperatorError(f"--metrics {name}: given twice")
        path = Path(text)
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise OperatorError(f"cannot read {path}: {error.strerror}; check the path in --metrics") from error
        except ValueError as error:
            raise OperatorError(f"{path} is no JSON: {error}; write it with `trainer-cli evaluate --json`") from error
        metrics[name] = values
    return metrics


def held_out_reports(metrics: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the evaluations that claim to be held out."""
    return {name: report for name, report in metrics.items() if name.startswith(HELD_OUT)}


def rivals_of(report: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what a report was measured against."""
    if report.get("against"):
        yield report["against"]
    yield from report.get("also_against", ())


def is_pooled(report: Mapping[str, Any]) -> bool:
    """Tell whether several models were measured, each on what its training left out."""
    return len(report.get("subject", {}).get("runs", ())) > 1


def operating_point_figures(
    chosen: Mapping[str, Mapping[str, Mapping[str, Any]]], nested: Mapping[str, Mapping[str, Mapping[str, Any]]]
) -> dict[str, dict[str, dict[str, Any]]]:
    """Return label -> preset -> what the point gives, in short, for whoever shows a preset to a person.

    Args:
        chosen: label -> preset -> what the point gave on the recordings that it was chosen on.
        nested: the same of points chosen on the other parts; these have no `event_recall`.

    Returns:
        `recall`, `event_recall`, `false_alarms`, `hours`, `false_alarms_per_hour` and its 95 % interval
        `false_alarms_per_hour_interval`; under `not_chosen_on` recall and false alarms where the choice had no say.
    """
    return {
        label: {preset: _in_short(found, nested.get(label, {}).get(preset)) for preset, found in presets.items()}
        for label, presets in chosen.items()
    }


def _in_short(found: Mapping[str, Any], elsewhere: Mapping[str, Any] | None) -> dict[str, Any]:
    count, hours = found["false_alarms"], found["hours"]
    low, high = poisson_interval(count)
    short = {
        "recall": found["recall"],
        "event_recall": found.get("event_recall"),
        "false_alarms": count,
        "hours": hours,
        "false_alarms_per_hour": count / hours,
        "false_alarms_per_hour_interval": [low / hours, high / hours],
    }
    if elsewhere is not None:
        short["not_chosen_on"] = {
            "recall": elsewhere["recall"],
            "false_alarms_per_hour": elsewhere["per_hour"],
            "false_alarms_per_hour_interval": list(elsewhere["per_hour_interval"]),
        }
    return short


def condense(value: Any) -> Any:
    """Drop what lists single clips, sounds or alarms, and most of the rivals; round numbers to six places."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if key not in _TOO_LONG or isinstance(item, int)}
        if kept.get("against"):
            kept["against"] = _only_comparable(kept["against"])
            kept["also_against"] = [_only_comparable(rival) for rival in kept.get("also_against", ())]
        return {key: condense(item) for key, item in kept.items()}
    if isinstance(value, list):
        return [condense(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value


def _only_comparable(rival: dict[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in rival.items() if key in _OF_A_RIVAL}
