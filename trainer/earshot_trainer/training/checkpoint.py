"""Checkpoints that survive a kill: written whole or not at all."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from earshot_node.errors import OperatorError

CHECKPOINT_NAME = "checkpoint.pt"
MODEL_NAME = "model.pt"
SCHEMA = 1


def save_atomically(values: dict[str, Any], path: Path) -> None:
    """Write beside the target, flush to disk, then replace: a reader never sees half a file."""
    temporary = path.with_name(f".{path.name}.part")
    with temporary.open("wb") as stream:
        torch.save(values | {"schema": SCHEMA}, stream)
        stream.flush()
        os.fsync(stream.fileno())
    temporary.replace(path)


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Tensors and plain values of a checkpoint or a trained model, on the CPU.

    Raises:
        OperatorError: missing, damaged or of another schema.
    """
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise OperatorError(f"{path} does not exist; train first: trainer-cli train --help") from error
    except Exception as error:
        raise OperatorError(f"{path} cannot be read as a checkpoint ({type(error).__name__}); train again") from error
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise OperatorError(f"{path} is not a checkpoint of this version; train again")
    return values


def labelled(values: dict[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return configuration and recipe of a checkpoint with other labels; its weights are not among them."""
    recipe = json.loads(values["recipe"])
    recipe["model"] = recipe["model"] | {"labels": [*labels]}
    return {"config": values["config"] | {"labels": [*labels]}, "recipe": json.dumps(recipe)}
