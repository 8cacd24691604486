"""The sounds that segments are mixed from: real sirens, real negatives cut into spans, synthesized ones."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError
from earshot_trainer.activity import active_frames
from earshot_trainer.architecture import SAMPLE_RATE_HZ
from earshot_trainer.cache import PcmCache
from earshot_trainer.corpus import Recording
from earshot_trainer.synthetic import SyntheticSound

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
    active_range_db: float,
    synthetic: Sequence[SyntheticSound] = (),
    teacher_scores: Mapping[str, FloatArray] | None = None,
) -> Sounds:
    """Prepare recordings that are in the cache; a group's or label's odds grow with the root of its size.

    `teacher_scores` are scores [rows, classes] by the recording's path, for all negatives or none.

    Raises:
        OperatorError: no siren at all, or no negative.
    """
    sirens = [r for r in recordings if r.is_siren]
    negatives = [r for r in recordings if not r.is_siren]
    made = [_synthetic(sound, active_range_db) for sound in synthetic if sound.is_siren]
    traps = [_synthetic(sound, active_range_db) for sound in synthetic if not sound.is_siren]
    if not sirens and not made:
        raise OperatorError("no siren to learn from; check is_siren in the manifests and what is excluded")
    if not negatives:
        raise OperatorError("no negative to learn from; name a manifest with other sounds as well")
    scores = teacher_scores or {}
    spans = tuple(span for r in negatives for span in _spans(r, cache, scores.get(str(r.path))))
    return Sounds(
        sirens=tuple(_siren(cache.samples(r), active_range_db) for r in sirens),
        siren_odds=_odds([r.group if r.kind == "clip" else r.name for r in sirens]),
        spans=spans,
        span_odds=_odds([f"{s.recording.source}/{s.recording.label}" for s in spans]),
        synthetic_sirens=tuple(made),
        traps=tuple(traps),
    )


def _siren(samples: Int16Array, active_range_db: float) -> Siren:
    return Siren(samples=samples, active=active_frames(samples, active_range_db))


def _synthetic(sound: SyntheticSound, active_range_db: float) -> Siren:
    return _siren(sound.samples, active_range_db)


def _spans(recording: Recording, cache: PcmCache, scores: FloatArray | None) -> list[Span]:
    samples = cache.samples(recording)
    count = max(1, round(len(samples) / (SPAN_S * SAMPLE_RATE_HZ)))
    edges = np.linspace(0, len(samples), count + 1).astype(int)
    return [Span(recording, samples, int(a), int(b - a), scores) for a, b in pairwise(edges)]


def _odds(names: Sequence[str]) -> npt.NDArray[np.float64]:
    sizes = Counter(names)
    odds = np.array([1.0 / np.sqrt(sizes[name]) for name in names], dtype=np.float64)
    return odds / odds.sum() if len(odds) else odds
