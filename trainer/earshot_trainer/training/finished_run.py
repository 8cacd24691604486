"""A finished run to which a command adds something, with its teacher and the recordings at hand."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import Recording, expand_path, load_manifests
from earshot_trainer.distillation.store import HeardMixtures, hear_mixtures
from earshot_trainer.training.progress import counting
from earshot_trainer.training.recipe import Recipe, TeacherRecipe
from earshot_trainer.training.run_record import RunRecord, load_run
from earshot_trainer.training.teacher import Teacher, open_teacher


@dataclass(frozen=True)
class AdditionRequest:
    """What the command line asked for: a run's model.pt, manifests, and where decoded audio is kept."""

    model: Path
    manifests: tuple[str, ...]
    cache: Path | None = None


@dataclass(frozen=True)
class FinishedRun:
    """What an addition is made of.

    Attributes:
        recordings: of the manifests, all in the cache.
        is_learnt: of each of them, whether the run was trained on it.
        folder: of the cache.
    """

    record: RunRecord
    recipe: Recipe
    teacher_recipe: TeacherRecipe
    teacher: Teacher
    recordings: tuple[Recording, ...]
    is_learnt: tuple[bool, ...]
    cache: PcmCache
    folder: Path

    @property
    def learnt(self) -> list[Recording]:
        """The recordings that the run was trained on."""
        return [one for one, learnt in zip(self.recordings, self.is_learnt, strict=True) if learnt]


def open_finished_run(request: AdditionRequest, needs_teacher: str) -> FinishedRun:
    """Read run, teacher and recordings.

    Args:
        request: which.
        needs_teacher: what for; completes "its recipe names no teacher, which ...".

    Raises:
        OperatorError: no finished run, no teacher, or the manifests cannot be used.
    """
    folder = request.cache or default_cache_dir()
    record = load_run(request.model.parent)
    recipe = Recipe.model_validate(record.recipe)
    if recipe.teacher is None:
        raise OperatorError(f"{request.model}: its recipe names no teacher, which {needs_teacher}")
    teacher = open_teacher(recipe.teacher)
    recordings = tuple(load_manifests([expand_path(text) for text in request.manifests]))
    cache = PcmCache(folder)
    cache.add(recordings)
    is_learnt = tuple(one.group in record.training_groups for one in recordings)
    return FinishedRun(record, recipe, recipe.teacher, teacher, recordings, is_learnt, cache, folder)


def mixtures_of(run: FinishedRun, console: Console) -> HeardMixtures | None:
    """What the teacher heard in the mixtures of the run's recipe; None where it distils nothing."""
    distillation = run.recipe.distillation
    if distillation is None:
        return None
    console.print(f"the teacher hears {distillation.mixtures} mixtures, once for all runs on this corpus")
    with counting(console, "the teacher listens", distillation.mixtures) as count:
        return hear_mixtures(run.recordings, run.recipe, run.teacher, run.folder, count)
