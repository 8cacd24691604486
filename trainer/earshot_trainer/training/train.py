"""The training run: read top to bottom."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from earshot_node.errors import OperatorError
from earshot_trainer.segments.mining import SpanMiner
from earshot_trainer.segments.mixing import SegmentMixer
from earshot_trainer.segments.prefetch import Prefetcher
from earshot_trainer.segments.sounds import Sounds
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, MODEL_NAME, load_checkpoint, save_atomically
from earshot_trainer.training.learner import Learner
from earshot_trainer.training.lineage import Origin
from earshot_trainer.training.recipe import Recipe

NORMALIZATION_STEPS = range(1_000_000_000, 1_000_000_004)


@dataclass(frozen=True)
class StepReport:
    """What a listener is told after each step."""

    step: int
    steps: int
    loss: float
    segments_per_s: float


def train(
    recipe: Recipe,
    sounds: Sounds,
    origin: Origin,
    out: Path,
    device: torch.device,
    report: Callable[[StepReport], None] = lambda _: None,
    stop_after_step: int | None = None,
) -> Path:
    """Train by the recipe into `out`, resuming a checkpoint that lies there; returns the path of the model.

    `stop_after_step` ends early, after that step's checkpoint. Raises OperatorError if `out` holds a run of another
    recipe or on other recordings than those that `origin` and `sounds` stand for.
    """
    out.mkdir(parents=True, exist_ok=True)
    settings = recipe.training
    learner = Learner(recipe, device)
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, settings.seed, device)
    miner = SpanMiner(sounds.span_odds, recipe.mining)
    first, earlier_s, origin = _resume(out / CHECKPOINT_NAME, recipe, origin, learner, miner)
    if first == 0:
        learner.normalize([mixer.batch(step, settings.batch_size, miner.odds) for step in NORMALIZATION_STEPS])
    mean_loss, started_s, done = 0.0, time.monotonic(), 0
    with Prefetcher(lambda step: mixer.batch(step, settings.batch_size, miner.odds)) as batches:
        for step in range(first, settings.steps):
            renews = (step + 1) % recipe.mining.every_steps == 0
            batch = batches.take(step, prefetch_next=not renews and step + 1 < settings.steps)
            loss, peaks = learner.step(batch, step)
            if not np.isfinite(loss):
                raise OperatorError(f"training diverged at step {step}; try a lower training.learning_rate")
            is_negative = (batch.targets.amax(dim=1) == 0).cpu().numpy()
            miner.note(batch.spans[is_negative], peaks.numpy()[is_negative])
            if renews:
                miner.renew()
            done += 1
            mean_loss = loss if done == 1 else 0.98 * mean_loss + 0.02 * loss
            speed = done * settings.batch_size / (time.monotonic() - started_s)
            report(StepReport(step + 1, settings.steps, mean_loss, speed))
            if (step + 1) % settings.checkpoint_every_steps == 0 or step + 1 == settings.steps:
                trained_s = earlier_s + time.monotonic() - started_s
                done_so_far = {"steps_done": step + 1, "trained_s": trained_s}
                _save(out / CHECKPOINT_NAME, recipe, origin, learner, miner, done_so_far)
                if stop_after_step is not None and step + 1 >= stop_after_step:
                    break
    return save_model(out / MODEL_NAME, recipe, learner)


def save_model(path: Path, recipe: Recipe, learner: Learner) -> Path:
    """The averaged network alone: `network` (its state_dict), `config` and `recipe`."""
    values = {
        "network": learner.result(),
        "config": recipe.model.to_dict(),
        "recipe": json.dumps(recipe.to_dict()),
    }
    save_atomically(values, path)
    return path


def _save(path: Path, recipe: Recipe, origin: Origin, learner: Learner, miner: SpanMiner, done: dict[str, Any]) -> None:
    values: dict[str, Any] = learner.state_dict() | done | asdict(origin)
    values |= {
        "recipe": json.dumps(recipe.to_dict()),
        "hardness": torch.from_numpy(miner.hardness.copy()),
        "odds": torch.from_numpy(miner.odds.copy()),
    }
    save_atomically(values, path)


def _resume(
    path: Path, recipe: Recipe, origin: Origin, learner: Learner, miner: SpanMiner
) -> tuple[int, float, Origin]:
    """Load the checkpoint if there is one; returns the steps done, the seconds they took and where they come from."""
    if not path.exists():
        return 0, 0.0, origin
    values = load_checkpoint(path)
    if json.loads(values["recipe"]) != json.loads(json.dumps(recipe.to_dict())):
        raise OperatorError(f"{path.parent} holds a run of another recipe; name another --out or delete it")
    if values.get("dataset_sha256") != origin.dataset_sha256:
        raise OperatorError(
            f"{path.parent} holds a run that trained on other recordings (--data or --exclude-... changed); "
            "name another --out or delete it"
        )
    learner.load_state_dict(values)
    miner.hardness = values["hardness"].numpy().copy()
    miner.odds = values["odds"].numpy().copy()
    started = Origin(values["dataset_sha256"], values["code_version"])
    return int(values["steps_done"]), float(values["trained_s"]), started
