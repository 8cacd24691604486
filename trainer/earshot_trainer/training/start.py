"""Weights that a training begins with in place of random ones: those of an earlier run."""

import hashlib
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from earshot_node.errors import OperatorError
from earshot_trainer.network.model import ModelConfig
from earshot_trainer.training.checkpoint import MODEL_NAME, load_checkpoint
from earshot_trainer.training.run_record import StartRecord, load_run

WITHOUT_WEIGHTS = ("dropout", "level_s")
"""Parts of a model that may change from one run to the next: no weight depends on them."""


@dataclass(frozen=True)
class Start:
    """The weights and what `run.json` will say of them."""

    network: dict[str, Tensor]
    record: StartRecord


def load_start(folder: Path, config: ModelConfig, training_groups: Collection[str]) -> Start:
    """Read the model of the run in `folder`.

    Args:
        folder: what `trainer-cli train --out` wrote.
        config: of the network to be trained.
        training_groups: the original recordings that will be trained on.

    Raises:
        OperatorError: no finished run, another network, or it heard recordings that this training keeps out: its
            figures on them would be worth nothing.
    """
    run = load_run(folder)
    heard = sorted(run.training_groups - set(training_groups))
    if heard:
        raise OperatorError(
            f"--start {folder}: it was trained on {len(heard)} original recordings that this training keeps out, "
            f"such as {heard[0]}; start from a run that held the same part out"
        )
    path = folder / MODEL_NAME
    values = load_checkpoint(path)
    theirs, ours = (one.to_dict() for one in (ModelConfig.from_dict(values["config"]), config))
    if differing := [name for name in ours if ours[name] != theirs[name] and name not in WITHOUT_WEIGHTS]:
        raise OperatorError(f"--start {folder}: its model.{differing[0]} differs from the recipe's; use its value")
    settings = run.recipe["training"]
    record = StartRecord(
        recipe=run.recipe_name,
        segments=settings["steps"] * settings["batch_size"] + (run.started_from.segments if run.started_from else 0),
        seed=run.seed,
        code_version=run.code_version,
        model_sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
    )
    return Start(values["network"], record)
