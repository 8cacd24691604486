"""One `trainer-cli train`: read the corpus, train, measure on what was held out, write what was done."""

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from rich.console import Console

from earshot_node.atomic_file import write_atomically
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifests
from earshot_trainer.corpus.splits import Split, hold_out
from earshot_trainer.distillation.lessons import HeardLessons, TrainingSide
from earshot_trainer.distillation.store import hear_mixtures
from earshot_trainer.distillation.tagger import EmbeddingTagger
from earshot_trainer.network.model import ModelConfig, StreamingCrnn, beginning_with
from earshot_trainer.segments.sounds import Sounds, gather_sounds
from earshot_trainer.segments.synthetic import load_pool
from earshot_trainer.training.checkpoint import CHECKPOINT_NAME, MODEL_NAME, load_checkpoint
from earshot_trainer.training.held_out import measure
from earshot_trainer.training.lineage import Origin, describe_run, is_described
from earshot_trainer.training.processes import ALONE, Processes, joined
from earshot_trainer.training.progress import TrainingReport, counting
from earshot_trainer.training.recipe import Recipe, load_recipe
from earshot_trainer.training.run_record import RUN_NAME
from earshot_trainer.training.speed import describe_speed, speed_line
from earshot_trainer.training.start import Start, load_start
from earshot_trainer.training.teacher import Teacher, ask_teacher, describe_teacher, open_teacher
from earshot_trainer.training.train import is_finished, train

_WAITING: Final = "another training prepares its sounds; waiting for it"


@dataclass(frozen=True)
class RunRequest:
    """What the command line asked for."""

    recipe_path: Path
    manifests: tuple[str, ...]
    out: Path
    start: Path | None = None
    folds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    overrides: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    workers: int | None = None
    cache: Path | None = None

    @property
    def excluded(self) -> dict[str, tuple[str, ...]]:
        """Names of what is kept out of training."""
        return {"folds": self.folds, "groups": self.groups, "sources": self.sources}


def run_training(
    request: RunRequest,
    console: Console | None = None,
    build: Callable[[ModelConfig], StreamingCrnn] = StreamingCrnn,
) -> Path:
    """Train, measure, write `model.pt` and `run.json`; returns the model's path.

    Under `torchrun` each process calls it; the first one alone measures, writes and prints. `build` makes the network
    of a configuration.

    Raises:
        OperatorError: anything in the request that cannot be used; the message says what to change.
    """
    processes = Processes.from_environment()
    console = console or Console(stderr=True)
    if not processes.leads:
        console = Console(quiet=True)
    recipe = load_recipe(request.recipe_path, request.overrides)
    processes.share(recipe.training.batch_size)
    if recipe.distillation is not None:
        processes.share(recipe.distillation.batch_size, "distillation.batch_size")
    recordings = load_manifests([expand_path(text) for text in request.manifests])
    split = hold_out(recordings, **request.excluded)
    start = load_start(request.start, recipe.model, split, request.groups) if request.start else None
    teacher = open_teacher(recipe.teacher) if recipe.teacher else None
    _print_split(console, recordings, split, request, start)
    device = choose_device(request.device, console, processes)
    if request.threads is not None:
        torch.set_num_threads(request.threads)
    cache_folder = request.cache or default_cache_dir()
    cache = PcmCache(cache_folder)
    if teacher is not None and recipe.model.tagger_layers:
        build = beginning_with(EmbeddingTagger.open(teacher).convolutions, build)
    with joined(processes, device):
        origin = _same_everywhere(Origin.of(split.train, start), processes)
        finished = processes.from_first(processes.leads and is_finished(request.out, recipe, origin))
        if not finished:
            with processes.first_on_host(), cache.alone(lambda: console.print(_WAITING)):
                sounds = _prepare(recordings, split, recipe, teacher, cache, cache_folder, console)
                heard = _hear(recordings, split, recipe, teacher, cache_folder, device, console)
            workers, out = request.workers or (2 if device.type == "cuda" else 1), request.out
            with TrainingReport(console, out) if processes.leads else nullcontext(lambda _: None) as report:
                train(recipe, sounds, origin, out, device, report, None, processes, workers, start, heard, build)
    if not processes.leads:
        return request.out / MODEL_NAME
    if finished and is_described(request.out / RUN_NAME, split, request.excluded):
        console.print(f"{request.out} holds this training, finished; delete it to train anew")
    else:
        cache.add(split.test)
        _conclude(request, recipe, split, teacher, start, cache, device, console, build)
    return request.out / MODEL_NAME


def _prepare(
    recordings: list[Recording],
    split: Split,
    recipe: Recipe,
    teacher: Teacher | None,
    cache: PcmCache,
    cache_folder: Path,
    console: Console,
) -> Sounds:
    """Decode all recordings and gather what is trained on; what was done before comes from the cache."""
    with counting(console, "decoding", len(recordings)) as advance:
        cache.add(recordings, advance)
    opinion = None
    if teacher is not None and recipe.teacher is not None:
        with counting(console, "asking the teacher", len(split.train)) as advance:
            opinion = ask_teacher(teacher, recipe.teacher, split.train, cache, cache_folder, advance)
    sounds = gather_sounds(
        split.train,
        cache,
        recipe,
        cache_folder,
        load_pool(recipe.synthetic, recipe.training.seed, cache_folder),
        opinion,
    )
    console.print(
        f"{len(sounds.sirens)} siren recordings (with those rendered outdoors), "
        f"{len(sounds.synthetic_sirens)} synthesized sirens, {len(sounds.traps)} traps, "
        f"{len(sounds.spans)} spans of negatives"
    )
    return sounds


def _hear(
    recordings: list[Recording],
    split: Split,
    recipe: Recipe,
    teacher: Teacher | None,
    cache_folder: Path,
    device: torch.device,
    console: Console,
) -> HeardLessons | None:
    """What the teacher heard in mixtures of what is trained on; rendered and heard once for the whole corpus."""
    if recipe.distillation is None or teacher is None:
        return None
    count = recipe.distillation.mixtures
    console.print(f"the teacher hears {count} mixtures, once for all runs on this corpus; every core renders")
    with counting(console, "the teacher listens", count) as advance:
        heard = hear_mixtures(recordings, recipe, teacher, cache_folder, advance)
    trained_on = {recording.path for recording in split.train}
    side = TrainingSide(
        [recording.path in trained_on for recording in recordings], [recording.is_siren for recording in recordings]
    )
    classes = EmbeddingTagger.open(teacher).classes
    lessons = HeardLessons(heard, side, classes, recipe.distillation, recipe.training.seed, device)
    console.print(f"{len(lessons)} mixtures hold nothing that is kept out of training")
    return lessons


def _same_everywhere(origin: Origin, processes: Processes) -> Origin:
    """The first process' origin; OperatorError if this one would train on other recordings."""
    first: Origin = processes.from_first(origin)
    if first.dataset_sha256 != origin.dataset_sha256:
        raise OperatorError(
            f"process {processes.rank} holds other recordings than the first; copy the corpus and its manifests "
            "to every host alike"
        )
    return first


def _conclude(
    request: RunRequest,
    recipe: Recipe,
    split: Split,
    teacher: Teacher | None,
    start: Start | None,
    cache: PcmCache,
    device: torch.device,
    console: Console,
    build: Callable[[ModelConfig], StreamingCrnn],
) -> None:
    """Measure the finished model on what was held out, write `run.json`, print figures and the next command."""
    model = request.out / MODEL_NAME
    figures = measure(load_network(model, build), split.test, cache, device) if split.test else {}
    checkpoint = load_checkpoint(request.out / CHECKPOINT_NAME)
    speed = _speed(checkpoint, recipe, device)
    run = describe_run(
        recipe,
        request.recipe_path,
        split,
        excluded=request.excluded,
        origin=Origin(checkpoint["dataset_sha256"], checkpoint["code_version"]),
        teacher=describe_teacher(teacher) if teacher else None,
        start=start,
        trained_s=checkpoint["trained_s"],
        device=device,
        figures=figures,
    )
    run |= {"speed": speed}
    write_atomically(request.out / RUN_NAME, (json.dumps(run, indent=1) + "\n").encode())
    for name, value in figures.items():
        console.print(f"{name}: {json.dumps(value)}", highlight=False)
    if speed:
        console.print(f"speed: {speed_line(speed)}", highlight=False)
    console.print(f"wrote {model} and {request.out / RUN_NAME}")
    console.print(f"next: trainer-cli quantize {model} --help")


def _speed(checkpoint: dict[str, Any], recipe: Recipe, device: torch.device) -> dict[str, Any]:
    """How fast the run was, where its time went and on what; empty for a run whose checkpoint does not know."""
    if "speed" not in checkpoint:
        return {}
    hardware = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    where = {"processes": checkpoint["processes"], "hardware": hardware}
    return where | describe_speed(checkpoint["speed"], recipe.training.batch_size, recipe.mixing.segment_s)


def choose_device(name: str, console: Console, processes: Processes = ALONE) -> torch.device:
    """The device asked for; `auto` takes CUDA where there is one and says so where there is none.

    Of several processes on a host each takes a CUDA device of its own.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return _own_cuda(processes)
        console.print("no CUDA device: training on the CPU in float32")
        return torch.device("cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise OperatorError(f"--device {name}: unknown device; try cpu or cuda") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise OperatorError(f"--device {name}: there is no CUDA device here; try --device cpu")
    if device.type == "cuda" and processes.count > 1:
        if ":" in name:
            raise OperatorError(f"--device {name}: each process takes a device of its own; try --device cuda")
        return _own_cuda(processes)
    return device


def _own_cuda(processes: Processes) -> torch.device:
    if processes.count == 1:
        return torch.device("cuda")
    if processes.local_rank >= torch.cuda.device_count():
        raise OperatorError(
            f"process {processes.local_rank} of this host has no CUDA device; "
            f"try torchrun --nproc-per-node {torch.cuda.device_count()}"
        )
    return torch.device("cuda", processes.local_rank)


def load_network(model: Path, build: Callable[[ModelConfig], StreamingCrnn] = StreamingCrnn) -> StreamingCrnn:
    """The trained network of a `model.pt`, in evaluation mode; `build` as in its training."""
    values = load_checkpoint(model)
    network = build(ModelConfig.from_dict(values["config"]))
    network.load_state_dict(values["network"])
    return network.eval()


def _print_split(
    console: Console, recordings: list[Recording], split: Split, request: RunRequest, start: Start | None
) -> None:
    known = {recording.group for recording in recordings}
    for group in request.groups:
        if group not in known:
            console.print(f"note: no recording belongs to group {group}")
    console.print(
        f"read {len(recordings)} recordings: {len(split.train)} to train on, {len(split.test)} to test on, "
        f"{len(split.unused)} on neither side"
    )
    if start is not None and (besides := start.record.heard_besides):
        console.print(
            f"note: --start {request.start} heard {len(besides)} original recordings that are not trained on now, such "
            f"as {besides[0]}; run.json takes them and their licences over"
        )
