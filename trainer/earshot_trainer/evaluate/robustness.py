"""How much of a label is still found when conditions change: the same takes under every condition, at every preset."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.evaluate.conditions.catalogue import all_conditions
from earshot_trainer.evaluate.conditions.take import LEAD_S, REFERENCE_DBFS, SELF_NOISE_DBFS, SOUND_S, Condition
from earshot_trainer.evaluate.robustness_hearing import HeardTake, hear_all
from earshot_trainer.evaluate.robustness_takes import (
    ACTIVE_RANGE_DB,
    LEAST_BACKGROUND_DBFS,
    plan_takes,
    what_is_missing,
)
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import auc_interval, rank_auc

BOOTSTRAP_ROUNDS = 1000
BOOTSTRAP_SEED = 1
WILSON_Z = 1.96
Interval = tuple[float, float]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ConditionFigures:
    """What one condition leaves.

    Attributes:
        family, name, value, unit: see `Condition`; `value` is the place on the family's curve.
        recall: by preset; an event of the node's detector reaches into the sound. The mean over groups of the share of
            their takes, so that no recording dominates.
        recall_interval: 95 %, bootstrap over groups, see `group_intervals`.
        found: takes with such an event, by preset.
        change: recall less that of the plain takes, by preset, with the paired 95 % interval over groups.
        false_alarms: share of the negative takes with an event under the same condition, by preset.
        mean_peak: mean over groups of the highest posterior during the sound.
        auc: of the highest posterior, takes with the label against those without, under the same condition.
        auc_interval: 95 %, bootstrap over groups.
        missed: names of the takes without an event at `balanced`.
    """

    family: str
    name: str
    value: float | None
    unit: str
    recall: dict[str, float]
    recall_interval: dict[str, Interval]
    found: dict[str, int]
    change: dict[str, float]
    change_interval: dict[str, Interval]
    false_alarms: dict[str, float]
    mean_peak: float
    auc: float
    auc_interval: Interval
    missed: list[str]


@dataclass(frozen=True, slots=True)
class RobustnessFigures:
    """All conditions of one subject and label; the first one is plain, the reference.

    Attributes:
        not_measured: condition -> why.
        left_out: one line for every partition that lacks something and every recording that gave no take.
    """

    label: str
    protocol: dict[str, Any]
    positives: int
    groups: int
    negatives: int
    conditions: list[ConditionFigures]
    not_measured: dict[str, str]
    left_out: list[str]
    wall_s: float

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)

    def curve(self, family: str) -> list[ConditionFigures]:
        """Return the conditions of a family in the order of their value."""
        rows = [row for row in self.conditions if row.family == family]
        return sorted(rows, key=lambda row: row.value or 0.0)


def measure_robustness(
    subject: Subject,
    partitions: Sequence[Sequence[Recording]],
    seed: int = 1,
    *,
    label: str = "siren",
    per_group: int = 8,
    jobs: int = 1,
    conditions: Sequence[Condition] | None = None,
    advance: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> RobustnessFigures:
    """Hear takes under every condition.

    Sounds and backgrounds are combined within a partition only; one that lacks something is left out, and told.
    `conditions` defaults to all; the first one is the reference. `advance(done, total)` counts takes.

    Raises:
        OperatorError: no partition has everything, or no take is left to hear.
    """
    begin_s = time.monotonic()
    every = tuple(conditions if conditions is not None else all_conditions())
    possible = tuple(condition for condition in every if not condition.missing)
    lacking = [what_is_missing(partition, label) for partition in partitions]
    used = [partition for partition, missing in zip(partitions, lacking, strict=True) if not missing]
    if not used:
        reasons = "; ".join(sorted(set(lacking))) or "nothing is selected"
        raise OperatorError(f"robustness cannot be measured: {reasons}; add --data, --fold or --source")
    plan = [planned for partition in used for planned in plan_takes(partition, label, seed, per_group)]
    takes = []
    for heard in hear_all(subject, label, possible, plan, jobs):
        takes.append(heard)
        advance(len(takes), len(plan))
    positives = [take for take in takes if take.is_positive and not take.problem]
    negatives = [take for take in takes if not take.is_positive and not take.problem]
    problems = [take.problem for take in takes if take.problem]
    if not positives or not negatives:
        raise OperatorError(f"robustness cannot be measured: no take is left to hear; {problems[0]}")
    not_used = [
        f"{len(partition)} recordings of one partition: {missing}"
        for partition, missing in zip(partitions, lacking, strict=True)
        if missing
    ]
    return RobustnessFigures(
        label=label,
        protocol=_protocol(subject, seed, per_group, used),
        positives=len(positives),
        groups=len({take.group for take in positives}),
        negatives=len(negatives),
        conditions=_figures(possible, positives, negatives),
        not_measured={condition.name: condition.missing for condition in every if condition.missing},
        left_out=not_used + problems,
        wall_s=round(time.monotonic() - begin_s, 1),
    )


def _protocol(subject: Subject, seed: int, per_group: int, partitions: Sequence[Sequence[Recording]]) -> dict[str, Any]:
    recordings = [recording for partition in partitions for recording in partition]
    return {
        "model_sha256": subject.model_sha256,
        "presets_origin": subject.presets_origin,
        "data_sha256": dataset_hash(recordings),
        "partitions": [len(partition) for partition in partitions],
        "seed": seed,
        "per_group": per_group,
        "take": f"{LEAD_S:g} s of background or self-noise, then up to {SOUND_S:g} s from where the recording sounds "
        f"(within {ACTIVE_RANGE_DB:g} dB of its loudest part); fresh state",
        "level": f"{REFERENCE_DBFS:g} dBFS RMS where it sounds, {SELF_NOISE_DBFS:g} dBFS white self-noise, 16 bit",
        "backgrounds": f"a passage of {LEAST_BACKGROUND_DBFS:g} dBFS or more of a long recording without the label, "
        "the same under every condition; SNR: RMS where the sound sounds over the background's RMS under it",
        "found": "an event of the node's detector reaches into the sound",
        "recall": "mean over groups of the share of their takes; 95 %: bootstrap over groups, Wilson where all agree",
        "codecs": "the corpus is itself Opus at 24 kbit/s: another generation is measured",
    }


def _figures(
    conditions: Sequence[Condition], positives: Sequence[HeardTake], negatives: Sequence[HeardTake]
) -> list[ConditionFigures]:
    groups = [take.group for take in positives]
    names = sorted(set(groups))
    found = np.stack([take.found for take in positives])
    peaks = np.stack([take.peaks for take in positives])
    members = [np.array([group == name for group in groups]) for name in names]
    by_group = np.stack([found[rows].mean(axis=0) for rows in members])
    peak_by_group = np.stack([peaks[rows].mean(axis=0) for rows in members])
    return [
        _condition_figures(row, condition, positives, negatives, by_group, peak_by_group)
        for row, condition in enumerate(conditions)
    ]


def _condition_figures(
    row: int,
    condition: Condition,
    positives: Sequence[HeardTake],
    negatives: Sequence[HeardTake],
    by_group: FloatArray,
    peak_by_group: FloatArray,
) -> ConditionFigures:
    """`by_group` is float[groups, conditions, presets], the share found; `peak_by_group` float[groups, conditions]."""
    shares, plain = by_group[:, row], by_group[:, 0]
    found = np.stack([take.found[row] for take in positives])
    alarmed = np.stack([take.found[row] for take in negatives])
    scores = np.array([take.peaks[row] for take in (*positives, *negatives)])
    truth = np.arange(len(scores)) < len(positives)
    balanced = list(PRESET_SENSITIVITY).index("balanced")
    return ConditionFigures(
        family=condition.family,
        name=condition.name,
        value=condition.value,
        unit=condition.unit,
        recall=_by_preset(shares.mean(axis=0)),
        recall_interval=group_intervals(shares),
        found={preset: int(count) for preset, count in _by_preset(found.sum(axis=0)).items()},
        change=_by_preset((shares - plain).mean(axis=0)),
        change_interval=group_intervals(shares - plain, least=-1.0),
        false_alarms=_by_preset(alarmed.mean(axis=0)),
        mean_peak=round(float(peak_by_group[:, row].mean()), 4),
        auc=round(rank_auc(truth, scores), 4),
        auc_interval=_rounded(auc_interval(truth, scores, [take.group for take in (*positives, *negatives)])),
        missed=[take.name for take, was_found in zip(positives, found[:, balanced], strict=True) if not was_found],
    )


def group_intervals(shares: FloatArray, least: float = 0.0) -> dict[str, Interval]:
    """Return the 95 % bootstrap interval of the mean over groups of float[groups, presets], by preset.

    Groups that all agree leave a bootstrap nothing to draw: they get Wilson's width for none of so many, z2 / (n + z2).
    Values lie between `least` and 1.
    """
    count = len(shares)
    drawn = np.random.default_rng(BOOTSTRAP_SEED).integers(count, size=(BOOTSTRAP_ROUNDS, count))
    low, high = np.quantile(shares[drawn].mean(axis=1), [0.025, 0.975], axis=0)
    agreed = np.ptp(shares, axis=0) == 0.0
    width = np.where(agreed, WILSON_Z**2 / (count + WILSON_Z**2), 0.0)
    low, high = np.maximum(low - width, least), np.minimum(high + width, 1.0)
    return {
        preset: _rounded((float(low[column]), float(high[column]))) for column, preset in enumerate(PRESET_SENSITIVITY)
    }


def _by_preset(values: FloatArray) -> dict[str, float]:
    return {preset: round(float(value), 4) for preset, value in zip(PRESET_SENSITIVITY, values, strict=True)}


def _rounded(interval: Interval) -> Interval:
    return round(interval[0], 4), round(interval[1], 4)
