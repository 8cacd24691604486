"""JSON files that people name."""

import json
from pathlib import Path
from typing import Any

from earshot_node.errors import OperatorError


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
