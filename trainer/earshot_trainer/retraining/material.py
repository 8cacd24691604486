"""What a retraining learns again, calibrates on and compares on beside the household's recordings."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.retraining.settings import RetrainSettings
from earshot_trainer.retraining.synthetic import synthetic_set


@dataclass(frozen=True)
class Material:
    """Sets that share no original recording.

    Attributes:
        replay: to mix from while training.
        calibration: clips and long recordings that the operating points are made comparable on.
        test: the base test set: clips and long recordings that the gate compares on.
        corpora: how many recordings of `test` are real.
    """

    replay: tuple[Recording, ...]
    calibration: tuple[Recording, ...]
    test: tuple[Recording, ...]
    corpora: int

    @property
    def is_synthetic(self) -> bool:
        """Whether the gate has nothing but synthesized sounds to compare on, the household's aside."""
        return self.corpora == 0


def gather_material(
    settings: RetrainSettings,
    learnt: Sequence[Recording],
    held_out: Sequence[Recording],
    without_groups: Collection[str],
    cache: Path,
) -> Material:
    """Join synthesized sets with drawn parts of the corpora.

    Args:
        settings: how much of what.
        learnt: of the corpora, what may be learnt from again.
        held_out: of the corpora, what is kept to calibrate and compare on.
        without_groups: original recordings that are the household's, and so in none of the sets.
        cache: where synthesized audio lies.
    """
    amounts, seed = settings.material, settings.seed
    kept = [one for one in held_out if one.group not in without_groups]
    halves = {side: [one for one in kept if _half(one.group, seed) == side] for side in (0, 1)}
    replay = draw([one for one in learnt if one.group not in without_groups], amounts.replay_hours, seed)
    calibration, test = (draw(halves[side], amounts.test_hours, seed) for side in (0, 1))
    return Material(
        replay=(*synthetic_set("replay", amounts, seed, cache), *replay),
        calibration=(*synthetic_set("calibration", amounts, seed, cache), *calibration),
        test=(*synthetic_set("test", amounts, seed, cache), *test),
        corpora=len(test),
    )


def split_corpora(
    recordings: Sequence[Recording], share: float, seed: int
) -> tuple[tuple[Recording, ...], tuple[Recording, ...]]:
    """Part recordings into what may be learnt from and what is held out, whole originals (groups) by `seed`."""
    held_out = {group for group in {one.group for one in recordings} if _fraction(f"{seed} corpora {group}") < share}
    return (
        tuple(one for one in recordings if one.group not in held_out),
        tuple(one for one in recordings if one.group in held_out),
    )


def draw(recordings: Sequence[Recording], hours: float, seed: int) -> tuple[Recording, ...]:
    """Draw up to so many hours, a third of them at most of sirens, the sources and labels of the rest in turn."""
    sirens = [one for one in recordings if one.is_siren]
    others = [one for one in recordings if not one.is_siren]
    drawn = _until(_shuffled(sirens, seed), hours / 3)
    drawn += _until(_in_turn(others, seed), hours - sum(one.duration_s for one in drawn) / 3600)
    return tuple(drawn)


def _until(recordings: Sequence[Recording], hours: float) -> list[Recording]:
    kept: list[Recording] = []
    seconds = 0.0
    for one in recordings:
        if seconds + one.duration_s <= hours * 3600:
            kept.append(one)
            seconds += one.duration_s
    return kept


def _in_turn(recordings: Sequence[Recording], seed: int) -> list[Recording]:
    """Return them so that every source and label comes once before any comes twice."""
    kinds: dict[tuple[str, str, str], list[Recording]] = defaultdict(list)
    for one in _shuffled(recordings, seed):
        kinds[(one.source, one.label, one.kind)].append(one)
    ranked = [(rank, key, one) for key, members in kinds.items() for rank, one in enumerate(members)]
    return [one for _, _, one in sorted(ranked, key=lambda item: item[:2])]


def _shuffled(recordings: Sequence[Recording], seed: int) -> list[Recording]:
    ordered = sorted(recordings, key=lambda one: (one.source, one.name))
    return [ordered[int(index)] for index in np.random.default_rng([seed, 31]).permutation(len(ordered))]


def _half(group: str, seed: int) -> int:
    return int(_fraction(f"{seed} half {group}") < 0.5)


def _fraction(text: str) -> float:
    return int(hashlib.sha256(text.encode()).hexdigest()[:12], 16) / 16**12
