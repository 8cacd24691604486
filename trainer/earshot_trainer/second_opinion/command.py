"""One `trainer-cli second-opinion`: make the tagger narrow, teach it, fit its output, write the graph.

run.json and manifests -> mixtures that the tagger heard, without what the run keeps out
  -> narrow network, taught what the tagger makes of their windows
  -> its embeddings of the recordings that the run was trained on -> output -> second.onnx
"""

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import Recording, dataset_hash, expand_path, load_manifests
from earshot_trainer.distillation.store import PIECE, hear_mixtures
from earshot_trainer.distillation.tagger import WINDOW_FRAMES, EmbeddingTagger
from earshot_trainer.evaluate.console import counting
from earshot_trainer.network.architecture import TAGGER_MELS, ModelConfig
from earshot_trainer.second_opinion.adding import SECOND_NAME
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.exporting import export_second
from earshot_trainer.second_opinion.fitting import fit_output
from earshot_trainer.second_opinion.learning import SecondLessons, learn
from earshot_trainer.second_opinion.network import SecondOpinion, widths_of
from earshot_trainer.second_opinion.pruning import begin_with
from earshot_trainer.second_opinion.windows import Floats, hear_windows
from earshot_trainer.training.checkpoint import load_checkpoint
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.run_record import load_run, record_second_opinion
from earshot_trainer.training.teacher import open_teacher

MIXTURES_A_STEP = 10
PRUNED_ON = 80
"""Mixtures whose windows say which of the tagger's channels matter."""


@dataclass(frozen=True)
class SecondOpinionRequest:
    """What the command line asked for."""

    model: Path
    manifests: tuple[str, ...]
    share: float = 1.0
    steps: int = 4000
    seed: int = 1
    cache: Path | None = None


def make_second_opinion(request: SecondOpinionRequest, console: Console | None = None) -> Path:
    """Write `second.onnx` beside the model, for `trainer-cli quantize`, and into its `run.json` what it was made of.

    It learns from nothing but recordings that the model was trained on.

    Raises:
        OperatorError: the model does not hear the tagger's frames, has no teacher, or the manifests cannot be used.
    """
    console = console or Console(stderr=True)
    folder = request.cache or default_cache_dir()
    ears = Ears(ModelConfig.from_dict(load_checkpoint(request.model)["config"]))
    run = load_run(request.model.parent)
    recipe = Recipe.model_validate(run.recipe)
    if recipe.teacher is None:
        raise OperatorError(f"{request.model}: its recipe names no teacher, which a second opinion is made of")
    tagger = EmbeddingTagger.open(open_teacher(recipe.teacher))
    recordings = load_manifests([expand_path(text) for text in request.manifests])
    cache = PcmCache(folder)
    cache.add(recordings)
    allowed = [one.group in run.training_groups for one in recordings]
    if request.share < 1:
        lessons = _lessons(recordings, allowed, recipe, ears, folder, request.seed)
        torch.manual_seed(request.seed)
        network = SecondOpinion(widths_of(request.share))
        begin_with(network, tagger.convolutions, lessons.batch(request.steps, PRUNED_ON)[0])
        network = _teach(network, lessons, request.steps, console)
    else:
        network = SecondOpinion()
        begin_with(network, tagger.convolutions, torch.zeros(1, WINDOW_FRAMES, TAGGER_MELS))
    network.round_weights()
    learnt = [one for one, is_allowed in zip(recordings, allowed, strict=True) if is_allowed]
    sirens, others = _hear(learnt, ears, cache, network, tagger, recipe.teacher.least_siren_score)
    network.set_output(*fit_output(sirens, others))
    out = request.model.with_name(SECOND_NAME)
    export_second(network, out)
    record_second_opinion(
        request.model.parent,
        {
            "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
            "dataset_sha256": dataset_hash(learnt),
            "widths": network.widths,
            "steps": request.steps if request.share < 1 else 0,
            "seed": request.seed,
            "fitted_to": {"siren_windows": len(sirens), "other_windows": len(others)},
        },
    )
    console.print(f"fitted to {len(sirens)} windows with a siren and {len(others)} without; wrote {out}")
    console.print("next: trainer-cli quantize --help")
    return out


def _lessons(
    recordings: Sequence[Recording], allowed: Sequence[bool], recipe: Recipe, ears: Ears, folder: Path, seed: int
) -> SecondLessons:
    """What the tagger heard in the run's mixtures.

    Raises:
        OperatorError: the recipe has no mixtures.
    """
    if recipe.distillation is None or recipe.teacher is None:
        raise OperatorError("a narrower second opinion learns from the recipe's mixtures, and it has no distillation")
    teacher = open_teacher(recipe.teacher)
    with counting("the teacher hears mixtures", recipe.distillation.mixtures // PIECE) as advance:
        heard = hear_mixtures(recordings, recipe, teacher, folder, lambda count: _advance(advance, count // PIECE))
    return SecondLessons(heard, allowed, EmbeddingTagger.open(teacher).classes, ears, seed)


def _teach(network: SecondOpinion, lessons: SecondLessons, steps: int, console: Console) -> SecondOpinion:
    told = max(1, steps // 10)

    def report(step: int, loss: float) -> None:
        if step % told == 0:
            console.print(f"step {step}/{steps}: loss {loss:.4f}")

    return learn(network, lessons, steps, MIXTURES_A_STEP, report)


def _advance(advance: Callable[[], None], count: int) -> None:
    for _ in range(count):
        advance()


def _hear(
    learnt: Sequence[Recording],
    ears: Ears,
    cache: PcmCache,
    network: SecondOpinion,
    tagger: EmbeddingTagger,
    least_siren_score: float,
) -> tuple[Floats, Floats]:
    """Embeddings [windows, C] of windows in which the tagger hears a siren that is there, and of those without any.

    Where a recording of a siren holds none for the tagger, the siren may be away: such windows teach nothing.
    """
    layers = torch.nn.Sequential(*tagger.convolutions)

    def sirens_heard(windows: torch.Tensor) -> torch.Tensor:
        embeddings = layers(windows[:, None].contiguous(memory_format=torch.channels_last)).mean(dim=(2, 3))
        logits = tagger.classes.logits(embeddings.numpy())[:, list(tagger.classes.sirens)].max(axis=1)
        return torch.from_numpy(logits >= np.log(least_siren_score / (1 - least_siren_score)))

    with_siren = [one for one in learnt if one.is_siren]
    without = [one for one in learnt if not one.is_siren]
    with counting("hearing recordings", len(learnt)) as advance:
        sirens = hear_windows(map(cache.samples, with_siren), ears, [network.embed, sirens_heard], advance)
        others = hear_windows(map(cache.samples, without), ears, [network.embed], advance)
    empty = np.zeros((0, network.widths[-1]), np.float32)
    return (
        np.concatenate([empty, *(embeddings[is_heard] for embeddings, is_heard in sirens)]),
        np.concatenate([empty, *(embeddings for (embeddings,) in others)]),
    )
