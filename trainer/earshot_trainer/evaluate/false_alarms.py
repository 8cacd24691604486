"""False alarms per hour on long recordings without the label, each one listed so that a person can listen."""

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint, Presets
from earshot_trainer.evaluate.tracks import Track


@dataclass(frozen=True, slots=True)
class Alarm:
    """A false alarm: where to listen."""

    file: str
    source: str
    kind_of_sound: str
    onset_s: float
    offset_s: float
    peak: float


@dataclass(frozen=True, slots=True)
class FalseAlarms:
    """False alarms at one operating point.

    Attributes:
        hours: audio listened to.
        per_hour_interval: exact Poisson interval, 95 %.
        by_class: class -> (alarms, hours), classes with an alarm only.
    """

    hours: float
    recordings: int
    count: int
    per_hour: float
    per_hour_interval: tuple[float, float]
    by_class: dict[str, tuple[int, float]]
    alarms: list[Alarm]


def measure_false_alarms(tracks: Sequence[Track], label: str, presets: Presets) -> dict[str, FalseAlarms]:
    """Count at every preset over tracks that do not hold `label`; empty when there is no audio."""
    quiet = [track for track in tracks if not track.is_positive(label)]
    if sum(track.duration_s for track in quiet) <= 0:
        return {}
    return {name: count_false_alarms(quiet, label, getattr(presets, name)[label]) for name in PRESET_SENSITIVITY}


def count_false_alarms(tracks: Sequence[Track], label: str, point: OperatingPoint) -> FalseAlarms:
    """Count the detector's events on tracks that hold none.

    Raises:
        ValueError: no audio at all.
    """
    hours_of: dict[str, float] = defaultdict(float)
    alarms: list[Alarm] = []
    for track in tracks:
        recording = track.recording
        hours_of[recording.label] += track.duration_s / 3600
        alarms.extend(
            Alarm(
                recording.name,
                recording.source,
                recording.label,
                round(event.onset_s, 2),
                round(event.offset_s or event.onset_s, 2),
                round(event.peak, 4),
            )
            for event in track.events(label, point)
        )
    hours = sum(hours_of.values())
    if hours <= 0:
        raise ValueError("false alarms per hour need audio")
    low, high = poisson_interval(len(alarms))
    counts: dict[str, int] = defaultdict(int)
    for alarm in alarms:
        counts[alarm.kind_of_sound] += 1
    return FalseAlarms(
        hours=hours,
        recordings=len(tracks),
        count=len(alarms),
        per_hour=len(alarms) / hours,
        per_hour_interval=(low / hours, high / hours),
        by_class={name: (counts[name], round(hours_of[name], 4)) for name in sorted(counts)},
        alarms=alarms,
    )


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the exact (Garwood) interval of a Poisson mean after `count` events; one-sided at zero events.

    With no event the whole error probability lies above: the bound is -ln(0.05) = 3.0, the rule of three.
    """
    miss = 1 - confidence
    if count == 0:
        return 0.0, -math.log(miss)
    high = _mean_at(lambda mean: _poisson_cdf(count, mean), miss / 2, count)
    low = _mean_at(lambda mean: _poisson_cdf(count - 1, mean), 1 - miss / 2, count)
    return low, high


def _mean_at(cdf: Callable[[float], float], target: float, count: int) -> float:
    """Return the mean at which the falling `cdf` is `target`, by bisection."""
    low, high = 0.0, count + 10.0 * math.sqrt(count) + 20.0
    for _ in range(80):
        middle = (low + high) / 2
        if cdf(middle) > target:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _poisson_cdf(count: int, mean: float) -> float:
    """Return P(X <= count) for a Poisson variable."""
    if mean <= 0:
        return 1.0
    return min(1.0, math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)))
