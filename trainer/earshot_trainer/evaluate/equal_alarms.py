"""Two subjects at equal false alarms: what each finds when the first may give no more alarms than its rival does.

The rival decides by its operating point. The first keeps all settings of its own but `enter`, which is moved until it
gives at most the rival's number of false alarms on the same long recordings; `leave` goes down with a lower `enter`,
`certain` up with a higher one.
So neither a lucky threshold nor a bolder one is compared, and the whole curve stands beside the two points.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from earshot_node.contract.operating_point import OperatingPoint
from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.tracks import Track, detect

EQUAL_ALARMS = "equal_alarms"
"""The part that compares, measured last; its key in `--skip` and in the JSON of each rival."""
LOG_ODDS = tuple(0.2 * step for step in range(50, -31, -1))
"""Of `enter` in a sweep, from the strictest: 0.99995 to 0.0025."""
FINER = 10
"""Steps between two levels, where the rival's number of alarms is looked for."""
MOST_PER_HOUR = 20.0
"""A sweep ends where no one would listen any more."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A subject in the comparison.

    Attributes:
        point: where its sweep starts from; only `enter` moves, and `leave` and `certain` where it meets them.
        long_negatives: long recordings without the label.
        recall_at: share of what is to be found that it finds at an operating point.
    """

    title: str
    point: OperatingPoint
    long_negatives: Sequence[Track]
    recall_at: Callable[[OperatingPoint], float]


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """One threshold: false alarms on the long negatives, and recall."""

    enter: float
    false_alarms: int
    per_hour: float
    recall: float


@dataclass(frozen=True, slots=True)
class EqualAlarms:
    """The comparison for one label and one kind of thing to be found.

    Attributes:
        what: what recall counts.
        preset: the rival's operating point that sets the number of alarms.
        mine: best point of the sweep with at most the rival's false alarms; None when no threshold is strict enough.
        mine_curve, rival_curve: from strict to bold.
    """

    label: str
    what: str
    preset: str
    mine_title: str
    rival_title: str
    hours: float
    mine: SweepPoint | None
    rival: SweepPoint
    mine_curve: list[SweepPoint]
    rival_curve: list[SweepPoint]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def compare_at_equal_alarms(mine: Contender, rival: Contender, *, label: str, what: str, preset: str) -> EqualAlarms:
    """Find the first's threshold at the rival's number of false alarms."""
    reference = measure_at(rival, rival.point, label)
    curve = sweep(mine, label)
    return EqualAlarms(
        label=label,
        what=what,
        preset=preset,
        mine_title=mine.title,
        rival_title=rival.title,
        hours=round(_hours(rival.long_negatives), 4),
        mine=_boldest(mine, label, curve, reference.false_alarms),
        rival=reference,
        mine_curve=curve,
        rival_curve=sweep(rival, label),
    )


def sweep(contender: Contender, label: str) -> list[SweepPoint]:
    """Measure at every level of `enter`, from the strictest until too many false alarms."""
    curve: list[SweepPoint] = []
    for log_odds in LOG_ODDS:
        curve.append(measure_at(contender, _moved(contender.point, log_odds), label))
        if curve[-1].per_hour > MOST_PER_HOUR:
            break
    return curve


def measure_at(contender: Contender, point: OperatingPoint, label: str) -> SweepPoint:
    """Run the node's detector at one operating point."""
    alarms = sum(
        len(detect(_without_idle(track, point), label, point, track.hop_s))
        for track in contender.long_negatives
        if track.score >= point.enter
    )
    per_hour = alarms / _hours(contender.long_negatives)
    return SweepPoint(point.enter, alarms, round(per_hour, 4), round(contender.recall_at(point), 4))


def _boldest(contender: Contender, label: str, curve: Sequence[SweepPoint], allowed: int) -> SweepPoint | None:
    """Return the point with the highest recall and at most `allowed` false alarms, looked for between levels too."""
    fitting = [number for number, point in enumerate(curve) if point.false_alarms <= allowed]
    if not fitting:
        return None
    candidates = [curve[number] for number in fitting]
    if fitting[-1] + 1 < len(curve):
        begin, end = LOG_ODDS[fitting[-1]], LOG_ODDS[fitting[-1] + 1]
        between = [begin + (end - begin) * step / FINER for step in range(1, FINER)]
        finer = [measure_at(contender, _moved(contender.point, log_odds), label) for log_odds in between]
        candidates += [point for point in finer if point.false_alarms <= allowed]
    return max(candidates, key=lambda point: (point.recall, point.enter))


def _moved(point: OperatingPoint, log_odds: float) -> OperatingPoint:
    enter = round(1 / (1 + math.exp(-log_odds)), 6)
    return point.model_copy(
        update={"enter": enter, "leave": min(point.leave, enter), "certain": max(point.certain, enter)}
    )


def _without_idle(track: Track, point: OperatingPoint) -> NDArray[np.float32]:
    """Cut stretches below `leave` to bridging and cooldown together: the detector cannot tell."""
    keep_frames = int((point.bridging_s + point.cooldown_s) / track.hop_s) + 2
    is_idle = track.posteriors < point.leave
    last_active = np.maximum.accumulate(np.where(is_idle, -1, np.arange(len(is_idle))))
    return track.posteriors[~is_idle | (np.arange(len(is_idle)) - last_active <= keep_frames)]


def clip_recall(tracks: Sequence[Track], label: str) -> Callable[[OperatingPoint], float]:
    """Return the function that gives the share of positive clips with an event; `tracks` hold at least one."""
    clips = [track for track in tracks if track.recording.kind == "clip" and track.is_positive(label)]

    def recall_at(point: OperatingPoint) -> float:
        return sum(bool(clip.events(label, point)) for clip in clips) / len(clips)

    return recall_at


def print_equal_alarms(console: Console, found: Sequence[EqualAlarms]) -> None:
    """Print all comparisons in one table."""
    table = Table(title="recall at the rival's false alarms on the same long recordings", title_justify="left")
    for column in ("what", "model", "enter", "alarms", "per hour", "recall"):
        table.add_column(column)
    for one in found:
        what = f"{one.label}: {one.what}, alarms of {one.preset}"
        for title, point in ((one.mine_title, one.mine), (one.rival_title, one.rival)):
            if point is None:
                table.add_row(what, title, "none is strict enough", "", "", "")
                continue
            figures = (f"{point.enter:.4f}", str(point.false_alarms), f"{point.per_hour:.2f}", f"{point.recall:.3f}")
            table.add_row(what, title, *figures)
    console.print(table)
    if found:
        how = f"{found[0].rival_title} at its point, {found[0].mine_title} with `enter` moved, else at its own"
        say(console, f"{found[0].hours:.2f} h of long recordings; {how}")


def _hours(tracks: Sequence[Track]) -> float:
    return sum(track.duration_s for track in tracks) / 3600
