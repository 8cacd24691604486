"""Two subjects at equal false alarms: what each finds when the first may give no more alarms than its rival does.

The rival decides by its operating point. The first keeps all settings of its own but `enter`, which is moved until it
gives at most the rival's number of false alarms on the same long recordings; `leave` goes down with a lower `enter`.
So neither a lucky threshold nor a bolder one is compared, and the whole curve stands beside the two points.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot_node.contract.operating_point import OperatingPoint
from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.tracks import Track, detect

LEVELS = tuple(round(1 / (1 + math.exp(-0.1 * step)), 6) for step in range(100, -61, -1))
"""`enter` of a sweep, from the strictest: even steps of log-odds, 0.99995 to 0.0025."""
MOST_PER_HOUR = 20.0
"""A sweep ends where no one would listen any more."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A subject in the comparison.

    Attributes:
        point: where its sweep starts from; only `enter` (and `leave` with it) moves.
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
    fitting = [point for point in curve if point.false_alarms <= reference.false_alarms]
    return EqualAlarms(
        label=label,
        what=what,
        preset=preset,
        mine_title=mine.title,
        rival_title=rival.title,
        hours=round(_hours(rival.long_negatives), 4),
        mine=max(fitting, key=lambda point: (point.recall, point.enter), default=None),
        rival=reference,
        mine_curve=curve,
        rival_curve=sweep(rival, label),
    )


def sweep(contender: Contender, label: str) -> list[SweepPoint]:
    """Measure at every level of `enter`, from the strictest until too many false alarms."""
    curve: list[SweepPoint] = []
    for enter in LEVELS:
        point = contender.point.model_copy(update={"enter": enter, "leave": min(contender.point.leave, enter)})
        curve.append(measure_at(contender, point, label))
        if curve[-1].per_hour > MOST_PER_HOUR:
            break
    return curve


def measure_at(contender: Contender, point: OperatingPoint, label: str) -> SweepPoint:
    """Run the node's detector at one operating point."""
    alarms = sum(
        len(detect(track.posteriors, label, point, track.hop_s))
        for track in contender.long_negatives
        if track.score >= point.enter
    )
    per_hour = alarms / _hours(contender.long_negatives)
    return SweepPoint(point.enter, alarms, round(per_hour, 4), round(contender.recall_at(point), 4))


def clip_recall(tracks: Sequence[Track], label: str) -> Callable[[OperatingPoint], float]:
    """Return the function that gives the share of positive clips with an event; `tracks` hold at least one."""
    clips = [track for track in tracks if track.recording.kind == "clip" and track.is_positive(label)]

    def recall_at(point: OperatingPoint) -> float:
        found = [c for c in clips if c.score >= point.enter and detect(c.posteriors, label, point, c.hop_s)]
        return len(found) / len(clips)

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
