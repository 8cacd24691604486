"""One `trainer-cli train`: read the corpus, train, measure on what was held out, write what was done."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifests
from earshot_trainer.corpus.splits import Split, hold_out
from earshot_trainer.network.model import ModelConfig, StreamingCrnn
from earshot_trainer.segments.sounds import gather_sounds
from earshot_trainer.segments.synthetic import load_pool
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, load_checkpoint
from earshot_trainer.training.held_out import measure
from earshot_trainer.training.lineage import Origin, describe_run
from earshot_trainer.training.progress import TrainingReport, counting
from earshot_trainer.training.recipe import Recipe, load_recipe
from earshot_trainer.training.run_record import RUN_NAME
from earshot_trainer.training.teacher import ask_teacher, describe_teacher, open_teacher
from earshot_trainer.training.train import train


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for."""

    recipe_path: Path
    manifests: tuple[str, ...]
    out: Path
    folds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    cache: Path | None = None


def run_training(request: RunRequest, console: Console | None = None) -> Path:
    """Train, measure, write `model.pt` and `run.json`; returns the model's path.

    Raises:
        OperatorError: anything in the request that cannot be used; the message says what to change.
    """
    console = console or Console(stderr=True)
    recipe = load_recipe(request.recipe_path, request.overrides)
    recordings = load_manifests([expand_path(text) for text in request.manifests])
    excluded = {"folds": request.folds, "groups": request.groups, "sources": request.sources}
    split = hold_out(recordings, **excluded)
    teacher = open_teacher(recipe.teacher) if recipe.teacher else None
    _print_split(console, recordings, split, request)
    device = choose_device(request.device, console)
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    cache_folder = request.cache or default_cache_dir()
    cache = PcmCache(cache_folder)
    with counting(console, "decoding", len(recordings)) as advance:
        cache.add(recordings, advance)
    sounds = gather_sounds(
        split.train,
        cache,
        recipe,
        cache_folder,
        load_pool(recipe.synthetic, recipe.training.seed, cache_folder),
        ask_teacher(teacher, recipe.teacher, split.train, cache, cache_folder) if teacher and recipe.teacher else None,
    )
    console.print(
        f"{len(sounds.sirens)} siren recordings, {len(sounds.synthetic_sirens)} synthesized sirens, "
        f"{len(sounds.traps)} traps, {len(sounds.spans)} spans of negatives"
    )
    with TrainingReport(console, request.out) as report:
        model = train(recipe, sounds, Origin.of(split.train), request.out, device, report)
    figures = measure(load_network(model), split.test, cache, device) if split.test else {}
    checkpoint = load_checkpoint(request.out / CHECKPOINT_NAME)
    run = describe_run(
        recipe,
        request.recipe_path,
        split,
        excluded=excluded,
        origin=Origin(checkpoint["dataset_sha256"], checkpoint["code_version"]),
        teacher=describe_teacher(teacher) if teacher else None,
        trained_s=checkpoint["trained_s"],
        device=device,
        figures=figures,
    )
    (request.out / RUN_NAME).write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
    _print_figures(console, figures)
    console.print(f"wrote {model} and {request.out / RUN_NAME}")
    console.print(f"next: trainer-cli quantize {model} --help")
    return model


def choose_device(name: str, console: Console) -> torch.device:
    """The device asked for; `auto` takes CUDA where there is one and says so where there is none."""
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        console.print("no CUDA device: training on the CPU in float32")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OperatorError(f"--device {name}: unknown device; try cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OperatorError(f"--device {name}: there is no CUDA device here; try --device cpu")
    return device


def load_network(model: Path) -> StreamingCrnn:
    """The trained network of a `model.pt`, in evaluation mode."""
    values = load_checkpoint(model)
    network = StreamingCrnn(ModelConfig.from_dict(values["config"]))
    network.load_state_dict(values["network"])
    return network.eval()


def recipe_of(model: Path) -> Recipe:
    """The recipe that a `model.pt` was trained by."""
    return Recipe.model_validate(json.loads(load_checkpoint(model)["recipe"]))


def _print_split(console: Console, recordings: list[Recording], split: Split, request: RunRequest) -> None:
    known = {recording.group for recording in recordings}
    for group in request.groups:
        if group not in known:
            console.print(f"note: no recording belongs to group {group}")
    console.print(
        f"read {len(recordings)} recordings: {len(split.train)} to train on, {len(split.test)} to test on, "
        f"{len(split.unused)} on neither side"
    )


def _print_figures(console: Console, figures: dict[str, object]) -> None:
    for name, value in figures.items():
        console.print(f"{name}: {json.dumps(value)}", highlight=False)
