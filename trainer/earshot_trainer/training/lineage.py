"""What a run was made of: the part of `run.json` that model cards and manifests are written from."""

import subprocess
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.corpus.splits import Split
from earshot_trainer.training.recipe import Recipe


def describe_run(
    recipe: Recipe, recipe_path: Path, split: Split, figures: dict[str, Any], trained_s: float, device: torch.device
) -> dict[str, Any]:
    """JSON values: data with counts, hours and licences, recipe, code version, seed, figures and time taken."""
    return {
        "recipe_file": recipe_path.name,
        "recipe": recipe.to_dict(),
        "seed": recipe.training.seed,
        "code_version": code_version(),
        "torch_version": torch.__version__,
        "device": str(device),
        "trained_s": round(trained_s, 1),
        "dataset_sha256": dataset_hash(split.train),
        "trained_on": _summary(split.train),
        "tested_on": _summary(split.test),
        "on_neither_side": _summary(split.unused),
        "audio_licences": dict(sorted(Counter(recording.licence for recording in split.train).items())),
        "figures": figures,
    }


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
