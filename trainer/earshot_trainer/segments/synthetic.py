"""A pool of synthesized sirens and traps, rendered once from a seed."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

import earshot_node.synth
from earshot_node.synth.acoustics import random_street, random_town
from earshot_node.synth.filters import Samples, peak_normalise
from earshot_node.synth.music import random_music
from earshot_node.synth.sirens import SirenKind, SirenParameters, random_siren, synthesize, synthesize_crew
from earshot_node.synth.traps import random_trap
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.training.recipe import SyntheticRecipe

PEAK = 0.5
TOWN_CHORUS_SHARE = 0.5


@dataclass(frozen=True)
class SyntheticSound:
    """int16 samples at 16 kHz and what they are."""

    samples: npt.NDArray[np.int16]
    kind: str
    is_siren: bool


def load_pool(recipe: SyntheticRecipe, seed: int, folder: Path) -> list[SyntheticSound]:
    """The pool from `folder`, rendered there first if need be; a change of recipe, seed or synthesizer renders anew."""
    key = _pool_key(recipe, seed)
    sound_path, kind_path = folder / f"pool-{key}.npy", folder / f"pool-{key}.json"
    if not kind_path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pool = render_pool(recipe, seed)
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            np.save(
                Path(temporary) / "pool.npy", np.stack([sound.samples for sound in pool] or [np.zeros(0, np.int16)])
            )
            (Path(temporary) / "pool.npy").replace(sound_path)
            (Path(temporary) / "kinds").write_text(json.dumps([[sound.kind, sound.is_siren] for sound in pool]))
            (Path(temporary) / "kinds").replace(kind_path)
    samples = np.load(sound_path, mmap_mode="r")
    kinds = json.loads(kind_path.read_text(encoding="utf-8"))
    return [SyntheticSound(samples[row], kind, is_siren) for row, (kind, is_siren) in enumerate(kinds)]


def render_pool(recipe: SyntheticRecipe, seed: int) -> list[SyntheticSound]:
    """The recipe's number of sirens, of traps and of music; the same seed gives the same samples."""
    sounds = []
    for index in range(recipe.sirens):
        samples, kind = _siren(recipe, np.random.default_rng([seed, 1, index]))
        sounds.append(SyntheticSound(_to_int16(samples), str(kind), is_siren=True))
    for index in range(recipe.traps):
        samples, name = random_trap(np.random.default_rng([seed, 4, index]), recipe.length_s)
        sounds.append(SyntheticSound(_to_int16(samples), name, is_siren=False))
    for index in range(recipe.music):
        samples, style = random_music(np.random.default_rng([seed, 6, index]), recipe.length_s)
        sounds.append(SyntheticSound(_to_int16(samples), f"music, {style}", is_siren=False))
    return sounds


@cache
def synthesizer_code() -> bytes:
    """The code that renders sounds; keys of what is kept of it hold a digest of this."""
    return b"".join(path.read_bytes() for path in sorted(Path(earshot_node.synth.__file__).parent.glob("*.py")))


def _pool_key(recipe: SyntheticRecipe, seed: int) -> str:
    text = f"{seed} {recipe.model_dump_json()}".encode()
    return hashlib.sha256(text + synthesizer_code()).hexdigest()[:24]


def _siren(recipe: SyntheticRecipe, rng: np.random.Generator) -> tuple[Samples, SirenKind]:
    """One siren, or a chorus of one kind, by the recipe's shares."""
    if not recipe.kind_shares:
        return random_siren(rng, recipe.length_s)
    kinds = sorted(recipe.kind_shares)
    shares = np.array([recipe.kind_shares[kind] for kind in kinds])
    kind = kinds[int(rng.choice(len(kinds), p=shares / shares.sum()))]
    steady = bool(rng.random() < recipe.steady_share)
    samples = _voice(recipe, kind, steady, rng)
    in_a_town = recipe.town_share > 0 and rng.random() < recipe.town_share
    chorus_share = max(TOWN_CHORUS_SHARE, recipe.chorus_share) if in_a_town else recipe.chorus_share
    if chorus_share > 0 and rng.random() < chorus_share:
        for _ in range(int(rng.integers(1, 3))):
            samples = samples + np.float32(rng.uniform(0.3, 1.0)) * _voice(recipe, kind, steady, rng)
    if in_a_town:
        samples = random_town(rng, samples, SAMPLE_RATE_HZ)
    elif recipe.street_share > 0 and rng.random() < recipe.street_share:
        samples = random_street(rng, samples, SAMPLE_RATE_HZ)
    return peak_normalise(samples), kind


def _voice(recipe: SyntheticRecipe, kind: SirenKind, steady: bool, rng: np.random.Generator) -> Samples:
    """One siren of a kind; three in ten of those that can change modes do so on the way."""
    parameters = SirenParameters.random(kind, rng)
    if kind is SirenKind.CIVIL_DEFENCE and steady:
        parameters = replace(parameters, low_hz=parameters.high_hz)
    if rng.random() < 0.3:
        return synthesize_crew(parameters, rng, recipe.length_s)
    return synthesize(parameters, recipe.length_s)


def _to_int16(samples: npt.NDArray[np.floating]) -> npt.NDArray[np.int16]:
    return np.asarray(np.clip(np.rint(samples * (PEAK * 32767.0)), -32768, 32767), dtype=np.int16)
