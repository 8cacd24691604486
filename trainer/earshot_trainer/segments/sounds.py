"""The sounds that segments are mixed from: real sirens, real negatives cut into spans, synthesized ones."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError
from earshot_node.synth.acoustics import random_street, random_town
from earshot_node.synth.filters import Samples, peak_normalise
from earshot_trainer.corpus.activity import active_frames
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import MEL_HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.segments.bank import MelBank, build_bank
from earshot_trainer.segments.synthetic import SyntheticSound, synthesizer_code
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.teacher import HalfScores, TeacherOpinion, scores_at

SPAN_S = 10.0
LONGEST_STREET_SAMPLES = 120 * SAMPLE_RATE_HZ
STREET_STREAM, TOWN_STREAM = 5, 10
"""Of the random numbers that each place is drawn with."""
Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Siren:
    """A siren (or trap) to lay over a background: its number in the bank and which 40 ms frames sound."""

    sound: int
    active: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Up to ten seconds of a negative recording.

    `sound` is the whole recording's number in the bank, `start` and `count` the span in 10 ms frames; `scores` are
    the whole recording's teacher scores [rows, classes], if there is a teacher.
    """

    recording: Recording
    sound: int
    start: int
    count: int
    scores: HalfScores | None = None


@dataclass(frozen=True)
class Sounds:
    """Everything to mix from, with the probability that each is drawn (each array sums to 1)."""

    bank: MelBank
    sirens: tuple[Siren, ...]
    siren_odds: npt.NDArray[np.float64]
    spans: tuple[Span, ...]
    span_odds: npt.NDArray[np.float64]
    synthetic_sirens: tuple[Siren, ...]
    traps: tuple[Siren, ...]


def gather_sounds(
    recordings: Sequence[Recording],
    cache: PcmCache,
    recipe: Recipe,
    folder: Path,
    synthetic: Sequence[SyntheticSound] = (),
    opinion: TeacherOpinion | None = None,
    label: str = "siren",
) -> Sounds:
    """Prepare recordings that are in the cache; `folder` keeps the frames of all sounds.

    A siren's odds grow with the root of its group's size, a negative's as the recipe's `balance` says. A real siren is
    there once as it is and, by the recipe's `streets` and `towns`, as often again as from a vehicle under way and from
    far off (its first two minutes). What is shorter than a frame of 10 ms is left out. For another `label` its
    recordings stand in the place of sirens.

    Raises:
        OperatorError: no siren at all, or no negative.
    """
    usable = [r for r in recordings if len(cache.samples(r)) >= MEL_HOP_SAMPLES]
    sirens = {r: _real_siren(r, cache, recipe, opinion) for r in usable if label in r.labels}
    heard = [r for r, active in sirens.items() if active.any()]
    negatives = [r for r in usable if label not in r.labels]
    if not heard and not any(sound.is_siren for sound in synthetic):
        raise OperatorError(f"no {label} to learn from; check is_siren in the manifests and what is excluded")
    if not negatives:
        raise OperatorError("no negative to learn from; name a manifest with other sounds as well")
    outdoors = _outdoors(heard, cache, recipe)
    audio: list[Int16Array] = [cache.samples(r) for r in negatives]
    keys = [cache.key(r) for r in negatives]
    real, names = [], []
    for recording in heard:
        for key in (cache.key(recording), *outdoors[recording]):
            real.append(Siren(len(audio), sirens[recording]))
            audio.append(cache.kept(key))
            keys.append(key)
            names.append(recording.group if recording.kind == "clip" else recording.name)
    made: dict[bool, list[Siren]] = {True: [], False: []}
    for sound in synthetic:
        made[sound.is_siren].append(Siren(len(audio), active_frames(sound.samples, recipe.mixing.active_range_db)))
        audio.append(sound.samples)
        keys.append("")
    bank = build_bank(audio, recipe.model, folder, keys)
    scores = opinion.classes if opinion is not None else {}
    spans = tuple(span for row, r in enumerate(negatives) for span in _spans(r, row, bank, scores.get(str(r.path))))
    return Sounds(
        bank=bank,
        sirens=tuple(real),
        siren_odds=_odds(names, 0.5),
        spans=spans,
        span_odds=_odds([f"{s.recording.source}/{s.recording.label}" for s in spans], recipe.mixing.balance),
        synthetic_sirens=tuple(made[True]),
        traps=tuple(made[False]),
    )


def _real_siren(
    recording: Recording, cache: PcmCache, recipe: Recipe, opinion: TeacherOpinion | None
) -> npt.NDArray[np.bool_]:
    """Active where it is loud and, if there is a teacher, where the teacher hears it too."""
    samples = cache.samples(recording)
    active = active_frames(samples, recipe.mixing.active_range_db)
    if opinion is None or recipe.teacher is None:
        return active
    scores = scores_at(opinion.sirens[str(recording.path)], 0, len(active), len(samples))
    return np.asarray(active & (scores[:, 0] >= recipe.teacher.least_siren_score))


Place = Callable[[np.random.Generator, Samples, int], Samples]


def _outdoors(sirens: Sequence[Recording], cache: PcmCache, recipe: Recipe) -> dict[Recording, list[str]]:
    """Keys of each siren's renditions in streets and towns, which `cache` keeps from one run to the next."""
    kept: dict[Recording, list[str]] = {}
    makers: dict[str, Callable[[], Int16Array]] = {}
    code = hashlib.sha256(synthesizer_code()).hexdigest()
    for recording in sirens:
        samples = cache.samples(recording)[:LONGEST_STREET_SAMPLES]
        number = int(hashlib.sha256(recording.name.encode()).hexdigest()[:15], 16)
        kept[recording] = []
        for place, stream, turns in (
            (random_street, STREET_STREAM, recipe.mixing.streets),
            (random_town, TOWN_STREAM, recipe.mixing.towns),
        ):
            for turn in range(1, 1 + turns):
                what = f"{cache.key(recording)} {recording.name}"
                text = f"{place.__name__} {what} {recipe.training.seed} {turn} {code}"
                key = hashlib.sha256(text.encode()).hexdigest()[:32]
                makers[key] = partial(_heard_in, place, samples, [recipe.training.seed, stream, turn, number])
                kept[recording].append(key)
    cache.keep(makers)
    return kept


def _heard_in(place: Place, samples: Int16Array, seed: Sequence[int]) -> Int16Array:
    heard = place(np.random.default_rng(seed), samples.astype(np.float32) / 32768.0, SAMPLE_RATE_HZ)
    return np.asarray(np.clip(np.rint(peak_normalise(heard) * 16_000.0), -32768, 32767), dtype=np.int16)


def _spans(recording: Recording, sound: int, bank: MelBank, scores: HalfScores | None) -> list[Span]:
    frames = len(bank.of(sound))
    count = max(1, round(frames * MEL_HOP_SAMPLES / (SPAN_S * SAMPLE_RATE_HZ)))
    edges = np.linspace(0, frames, count + 1).astype(int)
    return [Span(recording, sound, int(a), int(b - a), scores) for a, b in pairwise(edges) if b > a]


def _odds(names: Sequence[str], balance: float) -> npt.NDArray[np.float64]:
    """Odds that give all items of a name together their number to the power 1 - balance."""
    sizes = Counter(names)
    odds = np.array([sizes[name] ** -balance for name in names], dtype=np.float64)
    return odds / odds.sum() if len(odds) else odds
