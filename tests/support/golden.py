"""Golden files: what goes over the wire, kept as JSON so that a change of it is seen in review."""

import json
import os
from pathlib import Path
from typing import Any

GOLDEN = Path(__file__).resolve().parent.parent / "contract" / "golden"
REGENERATE = "EARSHOT_REGENERATE_GOLDEN"


def assert_golden(name: str, value: Any) -> None:
    """Compare `value` with golden/<name>.json; with `EARSHOT_REGENERATE_GOLDEN=1` write it instead."""
    path = GOLDEN / f"{name}.json"
    if os.environ.get(REGENERATE):
        path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n")
    assert path.is_file(), f"{path} is missing; run the test with {REGENERATE}=1 and review what it wrote"
    assert json.loads(path.read_text()) == value, f"differs from {path.name}; {REGENERATE}=1 rewrites it"
