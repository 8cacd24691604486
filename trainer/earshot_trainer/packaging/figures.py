"""What was measured elsewhere, cut down to what a manifest and a model card carry."""

import json
from pathlib import Path
from typing import Any

from earshot_node.errors import OperatorError

HELD_OUT = "held_out"
"""Evaluations whose name begins so are claims about sounds that the measured model never heard."""
SHIPPED = "shipped"
QUANTIZATION = "quantization"

_TOO_LONG = frozenset({"alarms", "classes", "groups", "missed", "problems", "manifests"})


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


def condense(value: Any) -> Any:
    """Drop what lists single clips, sounds or alarms; round numbers to six places."""
    if isinstance(value, dict):
        return {key: condense(item) for key, item in value.items() if key not in _TOO_LONG}
    if isinstance(value, list):
        return [condense(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
