"""Weights that a training begins with in place of random ones: those of an earlier run."""

import hashlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.splits import Split
from earshot_trainer.network.model import ModelConfig
from earshot_trainer.training.checkpoint import MODEL_NAME, load_checkpoint
from earshot_trainer.training.run_record import StartRecord, load_run

WITHOUT_WEIGHTS = ("dropout", "level_s")
"""Parts of a model that may change from one run to the next: no weight depends on them."""


@dataclass(frozen=True)
class Start:
    """The weights and what `run.json` will say of them.

    Attributes:
        training_groups: the original recordings that they heard, with `audio_licences`.
    """

    network: dict[str, Tensor]
    record: StartRecord
    training_groups: frozenset[str]
    audio_licences: Mapping[str, int]


def load_start(folder: Path, config: ModelConfig, split: Split, excluded_groups: Collection[str] = ()) -> Start:
    """Read the model of the run in `folder`.

    Args:
        folder: what `trainer-cli train --out` wrote.
        config: of the network to be trained.
        split: of the recordings that there are now; those that the run heard and that are gone do no harm.
        excluded_groups: what is kept out by name, there or not.

    Raises:
        OperatorError: no finished run, another network, or it heard recordings that this training keeps out: its
            figures on them would be worth nothing. So for a retraining, of whose base nobody knows what it heard.
    """
    run = load_run(folder)
    if run.retraining is not None:
        raise OperatorError(
            f"--start {folder}: it is a household's retraining, which does not list what its base heard; start from "
            "a run of `trainer-cli train`"
        )
    kept_out = {recording.group for recording in (*split.test, *split.unused)} | set(excluded_groups)
    if heard := sorted(run.training_groups & kept_out):
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
        heard_besides=tuple(sorted(run.training_groups - {recording.group for recording in split.train})),
    )
    return Start(values["network"], record, run.training_groups, run.audio_licences)
