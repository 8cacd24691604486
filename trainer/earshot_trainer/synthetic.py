"""A pool of synthesized sirens and traps, rendered once from a seed."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from earshot_node.synth.filters import Samples
from earshot_node.synth.sirens import SirenKind, SirenParameters, random_siren, synthesize, synthesize_crew
from earshot_node.synth.traps import random_trap
from earshot_trainer.recipe import SyntheticRecipe

PEAK = 0.5


@dataclass(frozen=True)
class SyntheticSound:
    """int16 samples at 16 kHz and what they are."""

    samples: npt.NDArray[np.int16]
    kind: str
    is_siren: bool


def render_pool(recipe: SyntheticRecipe, seed: int) -> list[SyntheticSound]:
    """The recipe's number of sirens, then of traps; the same seed gives the same samples."""
    sounds = []
    for index in range(recipe.sirens):
        samples, kind = _siren(recipe, np.random.default_rng([seed, 1, index]))
        sounds.append(SyntheticSound(_to_int16(samples), str(kind), is_siren=True))
    for index in range(recipe.traps):
        samples, name = random_trap(np.random.default_rng([seed, 4, index]), recipe.length_s)
        sounds.append(SyntheticSound(_to_int16(samples), name, is_siren=False))
    return sounds


def _siren(recipe: SyntheticRecipe, rng: np.random.Generator) -> tuple[Samples, SirenKind]:
    """One siren by the recipe's shares of kinds; three in ten change modes on the way."""
    if not recipe.kind_shares:
        return random_siren(rng, recipe.length_s)
    kinds = sorted(recipe.kind_shares)
    shares = np.array([recipe.kind_shares[kind] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
    parameters = SirenParameters.random(kind, rng)
    if kind is SirenKind.CIVIL_DEFENCE and rng.random() < recipe.steady_share:
        parameters = replace(parameters, low_hz=parameters.high_hz)
    if rng.random() < 0.3:
        return synthesize_crew(parameters, rng, recipe.length_s), kind
    return synthesize(parameters, recipe.length_s), kind


def _to_int16(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(samples * (PEAK * 32767.0)), -32768, 32767), dtype=np.int16)
