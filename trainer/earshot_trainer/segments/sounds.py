"""The sounds that segments are mixed from: real sirens, real negatives cut into spans, synthesized ones."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.activity import active_frames
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.segments.synthetic import SyntheticSound
from earshot_trainer.training.recipe import Recipe
from earshot_trainer.training.teacher import TeacherOpinion, scores_at

SPAN_S = 10.0
FloatArray = npt.NDArray[np.float32]
Int16Array = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Siren:
    """A siren to lay over a background: int16 samples and which 40 ms frames sound."""

    samples: Int16Array
    active: npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Span:
    """Up to ten seconds of a negative recording.

    `samples` is the whole recording, `start` and `count` the span; `scores` are the whole recording's teacher scores
    [rows, classes], if there is a teacher.
    """

    recording: Recording
    samples: Int16Array
    start: int
    count: int
    scores: FloatArray | None = None


@dataclass(frozen=True)
class Sounds:
    """Everything to mix from, with the probability that each is drawn (each array sums to 1)."""

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
    synthetic: Sequence[SyntheticSound] = (),
    opinion: TeacherOpinion | None = None,
) -> Sounds:
    """Prepare recordings that are in the cache.

    A siren's odds grow with the root of its group's size, a negative's as the recipe's `balance` says.

    Raises:
        OperatorError: no siren at all, or no negative.
    """
    range_db = recipe.mixing.active_range_db
    real = [r for r in recordings if r.is_siren]
    negatives = [r for r in recordings if not r.is_siren]
    sirens = {r: _real_siren(r, cache, recipe, opinion) for r in real}
    heard = [r for r in real if sirens[r].active.any()]
    made = [_siren(sound.samples, range_db) for sound in synthetic if sound.is_siren]
    traps = [_siren(sound.samples, range_db) for sound in synthetic if not sound.is_siren]
    if not heard and not made:
        raise OperatorError("no siren to learn from; check is_siren in the manifests and what is excluded")
    if not negatives:
        raise OperatorError("no negative to learn from; name a manifest with other sounds as well")
    scores = opinion.classes if opinion is not None else {}
    spans = tuple(span for r in negatives for span in _spans(r, cache, scores.get(str(r.path))))
    return Sounds(
        sirens=tuple(sirens[r] for r in heard),
        siren_odds=_odds([r.group if r.kind == "clip" else r.name for r in heard], 0.5),
        spans=spans,
        span_odds=_odds([f"{s.recording.source}/{s.recording.label}" for s in spans], recipe.mixing.balance),
        synthetic_sirens=tuple(made),
        traps=tuple(traps),
    )


def _siren(samples: Int16Array, active_range_db: float) -> Siren:
    return Siren(samples=samples, active=active_frames(samples, active_range_db))


def _real_siren(recording: Recording, cache: PcmCache, recipe: Recipe, opinion: TeacherOpinion | None) -> Siren:
    """Active where it is loud and, if there is a teacher, where the teacher hears it too."""
    siren = _siren(cache.samples(recording), recipe.mixing.active_range_db)
    if opinion is None or recipe.teacher is None:
        return siren
    scores = scores_at(opinion.sirens[str(recording.path)], 0, len(siren.active), len(siren.samples))
    return Siren(samples=siren.samples, active=siren.active & (scores[:, 0] >= recipe.teacher.least_siren_score))


def _spans(recording: Recording, cache: PcmCache, scores: FloatArray | None) -> list[Span]:
    samples = cache.samples(recording)
    count = max(1, round(len(samples) / (SPAN_S * SAMPLE_RATE_HZ)))
    edges = np.linspace(0, len(samples), count + 1).astype(int)
    return [Span(recording, samples, int(a), int(b - a), scores) for a, b in pairwise(edges)]


def _odds(names: Sequence[str], balance: float) -> npt.NDArray[np.float64]:
    """Odds that give all items of a name together their number to the power 1 - balance."""
    sizes = Counter(names)
    odds = np.array([sizes[name] ** -balance for name in names], dtype=np.float64)
    return odds / odds.sum() if len(odds) else odds
