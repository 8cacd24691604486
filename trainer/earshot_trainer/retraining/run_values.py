"""`run.json` of a retraining: the base's origin and what came on top."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from earshot_node.inference.bundle import Bundle, load_bundle_unsigned, load_bundled
from earshot_trainer.corpus.recordings import Recording, dataset_hash, expand_path
from earshot_trainer.packaging.base import Base
from earshot_trainer.retraining.growing import with_labels
from earshot_trainer.retraining.material import Material
from earshot_trainer.retraining.parts import OwnRecordings, added_labels
from earshot_trainer.retraining.run_folder import RunFolder
from earshot_trainer.training.lineage import code_version

RECIPE_NAME = "retrain"


def run_values(run: RunFolder, base: Base, own: OwnRecordings, material: Material) -> dict[str, Any]:
    """Return JSON values that `load_run` reads; licences are those of the base's audio and of what came on top."""
    settings, learnt = run.request.settings, (*own.train, *material.replay)
    recipe = json.loads(with_labels(base.values, added_labels(run))["recipe"])
    training = recipe["training"] | {
        "steps": settings.tuning.steps,
        "batch_size": settings.tuning.batch_size,
        "learning_rate": settings.tuning.learning_rate,
        "seed": settings.seed,
    }
    parent = base_bundle(run, base)
    licences = Counter(parent.manifest.audio_licences if parent is not None else {"none stated": 1})
    licences.update(Counter(one.licence for one in own.train))
    licences.update(dict.fromkeys({one.licence for one in material.replay} - set(licences), 0))
    return {
        "recipe_file": "",
        "recipe": recipe | {"name": RECIPE_NAME, "developed_on": [], "training": training},
        "retraining": settings.model_dump(mode="json") | {"base": base.pin.model_dump()},
        "teacher": None,
        "seed": settings.seed,
        "code_version": code_version(),
        "dataset_sha256": dataset_hash(learnt),
        "excluded": {"groups": sorted({one.group for one in own.held_out})},
        "training_groups": sorted({one.group for one in learnt}),
        "trained_on": _summary(learnt),
        "tested_on": _summary((*own.held_out, *material.test)),
        "on_neither_side": _summary(()),
        "audio_licences": {licence: max(1, count) for licence, count in sorted(licences.items())},
        "figures": {},
    }


def base_bundle(run: RunFolder, base: Base) -> Bundle | None:
    """Return the bundle made of the base's weights: the shipped one, or the one that is compared with if it is that."""
    shipped = load_bundled()
    if base.pin.version == shipped.manifest.version and not run.request.base:
        return shipped
    if run.request.active:
        named = load_bundle_unsigned(expand_path(run.request.active))
        if named.manifest.version == base.pin.version:
            return named
    return None


def _summary(recordings: Sequence[Recording]) -> dict[str, Any]:
    sirens = [one for one in recordings if one.is_siren]
    return {
        "recordings": len(recordings),
        "hours": round(sum(one.duration_s for one in recordings) / 3600, 3),
        "siren_recordings": len(sirens),
        "siren_groups": len({one.group for one in sirens}),
        "folds": sorted({one.fold for one in recordings if one.fold}),
        "sources": sorted({one.source for one in recordings}),
    }
