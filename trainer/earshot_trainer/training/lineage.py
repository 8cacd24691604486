"""What a run was made of: the part of `run.json` that model cards and manifests are written from."""

import json
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.corpus.splits import Split
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.start import Start


@dataclass(frozen=True)
class Origin:
    """What weights come from besides their recipe; fixed when training starts and kept in its checkpoint.

    Attributes:
        dataset_sha256: `dataset_hash` of the recordings that are trained on.
        code_version: of the code that trains.
        start_sha256: of the model whose weights it begins with; empty for random ones.
    """

    dataset_sha256: str
    code_version: str
    start_sha256: str = ""

    @classmethod
    def of(cls, training_side: Sequence[Recording], start: Start | None = None) -> "Origin":
        """Describe a training that starts now."""
        return cls(dataset_hash(training_side), code_version(), start.record.model_sha256 if start else "")


def describe_run(
    recipe: Recipe,
    recipe_path: Path,
    split: Split,
    *,
    excluded: Mapping[str, Sequence[str]],
    origin: Origin,
    teacher: Mapping[str, str] | None,
    start: Start | None,
    trained_s: float,
    device: torch.device,
    figures: Mapping[str, Any],
) -> dict[str, Any]:
    """JSON values: data with counts, hours, groups and licences, recipe, teacher, code version, seed and figures.

    Groups and licences are of all that the weights heard, in the run that they began with too. Which recordings both
    heard is not known, so of a licence the larger number stands.
    `excluded` holds the names of folds, sources and groups that were kept out.
    """
    groups = {recording.group for recording in split.train}
    licences = Counter(recording.licence for recording in split.train)
    return {
        "recipe_file": recipe_path.name,
        "recipe": recipe.to_dict(),
        "teacher": teacher,
        "started_from": start.record.model_dump() if start else None,
        "seed": recipe.training.seed,
        "code_version": origin.code_version,
        "torch_version": torch.__version__,
        "device": str(device),
        "trained_s": round(trained_s, 1),
        "dataset_sha256": origin.dataset_sha256,
        "excluded": {what: sorted(names) for what, names in excluded.items()},
        "training_groups": sorted(groups | (start.training_groups if start else set())),
        "trained_on": _summary(split.train),
        "tested_on": _summary(split.test),
        "on_neither_side": _summary(split.unused),
        "audio_licences": dict(sorted((licences | Counter(start.audio_licences if start else ())).items())),
        "figures": figures,
    }


def is_described(path: Path, split: Split, excluded: Mapping[str, Sequence[str]]) -> bool:
    """Whether a `run.json` is there and whole, and what it was tested on is what this split is."""
    try:
        run = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    kept_out = {what: sorted(names) for what, names in excluded.items()}
    return bool(run.get("excluded") == kept_out and run.get("tested_on") == _summary(split.test))


def code_version() -> str:
    """The distribution's version, with the commit where the code runs from a checkout."""
    folder = Path(__file__).parent
    try:
        result = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return version("earshot")
    return f"{version('earshot')}+{result.stdout.strip()}"


def _summary(recordings: Sequence[Recording]) -> dict[str, Any]:
    sirens = [recording for recording in recordings if recording.is_siren]
    return {
        "recordings": len(recordings),
        "hours": round(sum(recording.duration_s for recording in recordings) / 3600, 3),
        "siren_recordings": len(sirens),
        "siren_groups": len({recording.group for recording in sirens}),
        "folds": sorted({recording.fold for recording in recordings if recording.fold}),
        "sources": sorted({recording.source for recording in recordings}),
    }
