"""The training run: read top to bottom."""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from earshot_node.errors import OperatorError
from earshot_trainer.distillation.lessons import HeardLessons
from earshot_trainer.network.model import ModelConfig, StreamingCrnn
from earshot_trainer.segments.mining import SpanMiner
from earshot_trainer.segments.mixing import SegmentMixer
from earshot_trainer.segments.prefetch import Prefetcher
from earshot_trainer.segments.sounds import Sounds
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, MODEL_NAME, load_checkpoint, save_atomically
from earshot_trainer.training.learner import Learner, Lesson
from earshot_trainer.training.ledger import Ledger
from earshot_trainer.training.lineage import Origin
from earshot_trainer.training.memory import keep_freed_memory
from earshot_trainer.training.processes import ALONE, Processes
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.speed import StepClock
from earshot_trainer.training.start import Start

REPORT_EVERY_STEPS = 10
"""Losses and peaks stay on the device in between, so that it need not wait for the program."""
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
    processes: Processes = ALONE,
    workers: int = 1,
    start: Start | None = None,
    heard: HeardLessons | None = None,
    build: Callable[[ModelConfig], StreamingCrnn] = StreamingCrnn,
) -> Path:
    """Train by the recipe into `out`, resuming a checkpoint that lies there; returns the path of the model.

    `stop_after_step` ends early, after that step's checkpoint. All `processes` of a training call this together; the
    first one alone reads and writes `out` and reports. `workers` threads mix segments. The weights begin as those of
    `start`, which `origin` names too, or random. `heard` is what a recipe with `distillation` learns from besides.
    `build` makes the network of a configuration.
    Raises OperatorError if `out` holds a run of another recipe or on others than `origin`'s and `sounds`' recordings.
    """
    keep_freed_memory()
    settings = recipe.training
    share, every = processes.share(settings.batch_size), recipe.mining.every_steps
    learner = Learner(recipe, device, processes, heard, build)
    mixer = SegmentMixer(sounds, recipe.model, recipe.mixing, recipe.augment, settings.seed, device)
    miner = SpanMiner(sounds.span_odds, recipe.mining)
    ledger = Ledger(miner, processes)
    clock = StepClock(device)
    values = processes.from_first(_load(out, recipe, origin) if processes.leads else None)
    first, earlier_s = _resume(values, learner, miner)
    if first == 0:
        _begin(learner, start, mixer, miner)

    def make(step: int) -> Lesson:
        return learner.prepare(mixer.batch(step, share, miner.odds, processes.rank), step)

    pace = _Pace(first, settings.batch_size, report if processes.leads else lambda _: None, settings.steps)
    started_s = time.monotonic()
    clock.start(values.get("speed", {}))
    with Prefetcher(make, device, workers) as lessons:
        for step in range(first, settings.steps):
            clock.begin_step()
            with clock.part("waiting for data"):
                lesson = lessons.take(step, end=min(settings.steps, (step // every + 1) * every))
            ledger.note(lesson.batch.spans, learner.step(lesson, step, clock))
            renews = (step + 1) % every == 0
            saves = (step + 1) % settings.checkpoint_every_steps == 0 or step + 1 == settings.steps
            if renews or saves or (step + 1) % REPORT_EVERY_STEPS == 0:
                pace.tell(ledger.settle())
            if renews:
                miner.renew()
            if saves:
                with clock.part("checkpoint"):
                    done = {"steps_done": step + 1, "trained_s": earlier_s + time.monotonic() - started_s}
                    _save(out, recipe, values or asdict(origin), learner, miner, done | {"speed": clock.state_dict()})
                if stop_after_step is not None and step + 1 >= stop_after_step:
                    break
    return save_model(out / MODEL_NAME, recipe, learner) if processes.leads else out / MODEL_NAME


def is_finished(out: Path, recipe: Recipe, origin: Origin) -> bool:
    """Whether `out` holds the last checkpoint and the model of just this training; raises as `train` does."""
    done = int(_load(out, recipe, origin).get("steps_done", 0))
    return done == recipe.training.steps and (out / MODEL_NAME).exists()


def _begin(learner: Learner, start: Start | None, mixer: SegmentMixer, miner: SpanMiner) -> None:
    """Take over `start`'s weights and normalization, or normalize by this corpus; the tagger has its own."""
    if start is not None:
        learner.begin_with(start.network)
    elif learner.network.tagger is None:
        # Every process computes the same from the same segments.
        size = learner.recipe.training.batch_size
        learner.normalize([mixer.batch(step, size, miner.odds) for step in NORMALIZATION_STEPS])


class _Pace:
    """Tells the listener how each step went."""

    def __init__(self, first: int, batch_size: int, report: Callable[[StepReport], None], steps: int) -> None:
        self._first = self._step = first
        self._batch_size = batch_size
        self._report = report
        self._steps = steps
        self._mean_loss = 0.0
        self._started_s = time.monotonic()

    def tell(self, losses: Sequence[float]) -> None:
        """The losses of the steps since the last call.

        Raises:
            OperatorError: one of them is not a number.
        """
        done = self._step + len(losses) - self._first
        speed = done * self._batch_size / max(time.monotonic() - self._started_s, 1e-9)
        for loss in losses:
            if not math.isfinite(loss):
                raise OperatorError(f"training diverged at step {self._step}; try a lower training.learning_rate")
            self._mean_loss = loss if self._step == self._first else 0.98 * self._mean_loss + 0.02 * loss
            self._step += 1
            self._report(StepReport(self._step, self._steps, self._mean_loss, speed))


def save_model(path: Path, recipe: Recipe, learner: Learner) -> Path:
    """The averaged network alone: `network` (its state_dict), `config` and `recipe`."""
    values = {
        "network": learner.result(),
        "config": recipe.model.to_dict(),
        "recipe": json.dumps(recipe.to_dict()),
    }
    save_atomically(values, path)
    return path


def _save(
    out: Path, recipe: Recipe, origin: dict[str, Any], learner: Learner, miner: SpanMiner, done: dict[str, Any]
) -> None:
    """Write the checkpoint of all processes from the first one.

    Raises:
        OperatorError: the processes no longer hold the same weights.
    """
    values: dict[str, Any] = learner.state_dict() | done
    sums = learner.processes.gather(sum_of_weights(learner.network))
    if not bool((sums == sums[0]).all()):
        raise OperatorError("the processes of this training hold different weights; use the same code on all hosts")
    values |= {
        "recipe": json.dumps(recipe.to_dict()),
        "dataset_sha256": origin["dataset_sha256"],
        "code_version": origin["code_version"],
        "start_sha256": origin.get("start_sha256", ""),
        "processes": learner.processes.count,
        "hardness": torch.from_numpy(miner.hardness.copy()),
        "odds": torch.from_numpy(miner.odds.copy()),
    }
    if learner.processes.leads:
        save_atomically(values, out / CHECKPOINT_NAME)


def sum_of_weights(network: torch.nn.Module) -> torch.Tensor:
    """One float64 number that differs where weights or running statistics do."""
    return torch.stack([v.double().sum() for v in network.state_dict().values() if v.is_floating_point()]).sum()


def _load(out: Path, recipe: Recipe, origin: Origin) -> dict[str, Any]:
    """The checkpoint in `out`, made if need be; empty if there is none."""
    out.mkdir(parents=True, exist_ok=True)
    if not (out / CHECKPOINT_NAME).exists():
        return {}
    values = load_checkpoint(out / CHECKPOINT_NAME)
    if Recipe.model_validate(json.loads(values["recipe"])) != Recipe.model_validate(recipe.to_dict()):
        raise OperatorError(f"{out} holds a run of another recipe; name another --out or delete it")
    if values.get("dataset_sha256") != origin.dataset_sha256:
        raise OperatorError(
            f"{out} holds a run that trained on other recordings (--data or --exclude-... changed); "
            "name another --out or delete it"
        )
    if values.get("start_sha256", "") != origin.start_sha256:
        raise OperatorError(f"{out} holds a run that began with other weights; name another --out or delete it")
    return values


def _resume(values: dict[str, Any], learner: Learner, miner: SpanMiner) -> tuple[int, float]:
    """Continue from a checkpoint's values, if there are any; returns the steps done and the seconds they took."""
    if not values:
        return 0, 0.0
    learner.load_state_dict(values)
    miner.hardness = values["hardness"].numpy().copy()
    miner.odds = values["odds"].numpy().copy()
    return int(values["steps_done"]), float(values["trained_s"])
