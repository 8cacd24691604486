"""Runs: each variant on each held-out part with each seed, trained and measured unless that was done before."""

import fcntl
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from rich.console import Console

from earshot_node.errors import EarshotError, OperatorError
from earshot_node.worker_pool import worker_pool
from earshot_trainer.ablations.results import RESULTS_NAME, Result, read_results, write_results
from earshot_trainer.ablations.speed import hop_times_ms
from earshot_trainer.ablations.variants import VARIANTS
from earshot_trainer.corpus.splits import load_parts
from earshot_trainer.network.model import StreamingCrnn
from earshot_trainer.training.command import RunRequest, load_network, run_training
from earshot_trainer.training.recipe import load_recipe
from earshot_trainer.training.run_record import RUN_NAME


@dataclass(frozen=True)
class Run:
    """One training: `variant` is a name in VARIANTS, `part` of the split is held out."""

    variant: str
    part: str
    seed: int

    def __str__(self) -> str:
        return f"{self.variant}, part {self.part}, seed {self.seed}"


@dataclass(frozen=True)
class Plan:
    """What all runs have in common.

    Attributes:
        manifests: of the corpus, as `trainer-cli train --data` takes them.
        settings: `section.key=value` texts that replace values of the recipe for all variants.
        out: folder for results, runs and their logs.
    """

    recipe: Path
    split: Path
    manifests: tuple[str, ...]
    steps: int
    out: Path
    settings: tuple[str, ...] = ()

    def done(self) -> list[Result]:
        """Return the results there are of this plan: of its recipe, settings and number of steps.

        Raises:
            OperatorError: the file is damaged.
        """
        mine = (self.recipe.name, self.settings, self.steps)
        results = read_results(self.out / RESULTS_NAME)
        return [result for result in results if (result.recipe, result.settings, result.steps) == mine]

    def folder(self, run: Run) -> Path:
        """Return where a run's checkpoint, model and `run.json` lie."""
        return self.out / "runs" / f"{run.variant}-{run.part}-{run.seed}-{self.steps}"


def run_missing(plan: Plan, runs: Sequence[Run], jobs: int, console: Console) -> list[Run]:
    """Train and measure the runs that have no result yet, `jobs` at a time; return those that failed.

    Each ends with its line in the results. What was interrupted goes on from its checkpoint.

    Raises:
        OperatorError: a part or the recipe is unknown, the results are damaged or another process works there.
    """
    _check_parts(plan, runs)
    load_recipe(plan.recipe, plan.settings)
    (plan.out / "runs").mkdir(parents=True, exist_ok=True)
    failed = []
    with _locked(plan.out / "lock", f"{plan.out}: another process works here; wait for it or name another --out"):
        done = {Run(result.variant, result.part, result.seed) for result in plan.done()}
        missing = [run for run in runs if run not in done]
        console.print(f"{len(runs) - len(missing)} of {len(runs)} runs were done before", highlight=False)
        for run, result in _ended(plan, missing, jobs):
            if isinstance(result, Result):
                path = plan.out / RESULTS_NAME
                write_results(path, [*read_results(path), result])
                console.print(f"{run}: AP {result.ap_half_second:.3f}, {result.trained_s:.0f} s", highlight=False)
            else:
                failed.append(run)
                console.print(f"{run}: failed: {result}", highlight=False, markup=False)
    return failed


def train_and_measure(plan: Plan, run: Run) -> Result:
    """Train one variant on the CPU with one thread, measure it; log beside its folder.

    Raises:
        OperatorError: what `run_training` raises, or another process trains it.
    """
    torch.set_num_threads(1)
    folder, variant = plan.folder(run), VARIANTS[run.variant]
    part = load_parts(plan.split)[run.part]
    settings = (*plan.settings, *_without_teaching(plan), f"training.steps={plan.steps}", f"training.seed={run.seed}")
    request = RunRequest(
        recipe_path=plan.recipe,
        manifests=plan.manifests,
        out=folder,
        folds=part.folds,
        sources=part.sources,
        groups=part.groups,
        overrides=(*settings, *variant.settings),
        device="cpu",
        threads=1,
    )
    with (
        _locked(folder.with_name(f"{folder.name}.lock"), f"{folder}: another process trains it"),
        folder.with_name(f"{folder.name}.log").open("a", encoding="utf-8") as log,
    ):
        network = load_network(run_training(request, Console(file=log), variant.build), variant.build)
    record = json.loads((folder / RUN_NAME).read_text(encoding="utf-8"))
    base = StreamingCrnn(load_recipe(plan.recipe, settings).model).eval()
    ms_per_hop, base_ms_per_hop = hop_times_ms([network, base])
    return Result(
        variant=run.variant,
        seed=run.seed,
        part=run.part,
        steps=plan.steps,
        recipe=plan.recipe.name,
        settings=plan.settings,
        parameters=sum(parameter.numel() for parameter in network.parameters()),
        **_figures(record["figures"], run),
        ms_per_hop=round(ms_per_hop, 4),
        base_ms_per_hop=round(base_ms_per_hop, 4),
        trained_s=record["trained_s"],
        dataset_sha256=record["dataset_sha256"],
        code_version=record["code_version"],
    )


def _figures(figures: dict[str, Any], run: Run) -> dict[str, float | None]:
    """Pick from training's own measure what a result holds."""
    if "clips" not in figures:
        raise OperatorError(
            f"part {run.part} holds out no clips of sirens and others; compare config/splits/three.yaml"
        )
    clips, recall = figures["clips"], figures.get("clip_recall_at_alarms_per_hour", {})
    return {
        "auc": round(clips["auc"], 4),
        "ap": round(clips["average_precision"], 4),
        "auc_half_second": round(clips["auc_half_second_mean"], 4),
        "ap_half_second": round(clips["average_precision_half_second_mean"], 4),
    } | {f"recall_at_{limit}": recall.get(str(limit)) for limit in (1, 4, 12)}


def _without_teaching(plan: Plan) -> tuple[str, ...]:
    """The teacher says where real sirens sound, no more: variants are compared by what they learn from labels."""
    return ("teacher.weight=0",) if load_recipe(plan.recipe, plan.settings).teacher is not None else ()


def _check_parts(plan: Plan, runs: Sequence[Run]) -> None:
    parts = load_parts(plan.split)
    for run in runs:
        if run.part not in parts:
            raise OperatorError(f"{plan.split} has no part {run.part!r}; it has {', '.join(parts)}")


def _ended(plan: Plan, runs: Sequence[Run], jobs: int) -> Iterator[tuple[Run, Result | str]]:
    """Yield runs as they end, with their result or what went wrong; a process of its own for each if `jobs` > 1."""
    if jobs <= 1:
        yield from ((run, _attempt(plan, run)) for run in runs)
        return
    threads = ThreadPoolExecutor(jobs)
    try:
        futures = {threads.submit(partial(_in_a_process, plan, run)): run for run in runs}
        for future in as_completed(futures):
            yield futures[future], future.result()
    finally:
        threads.shutdown(cancel_futures=True)


def _in_a_process(plan: Plan, run: Run) -> Result | str:
    with worker_pool(1) as process:
        try:
            return process.submit(_attempt, plan, run).result()
        except BrokenProcessPool:
            return "its process was killed, perhaps for memory; try --jobs 1"


def _attempt(plan: Plan, run: Run) -> Result | str:
    try:
        return train_and_measure(plan, run)
    except EarshotError as error:
        return str(error)


@contextmanager
def _locked(path: Path, otherwise: str) -> Iterator[None]:
    """Hold the file's lock; OperatorError with the text `otherwise` if another process holds it."""
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise OperatorError(otherwise) from error
        yield
