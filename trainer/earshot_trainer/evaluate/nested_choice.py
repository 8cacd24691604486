"""What chosen operating points are worth on recordings that had no say in choosing them.

Points that were chosen on some recordings look too good on them. So for every pool the points are chosen on the other
pools and measured on this one; the sums over all pools tell what a user may expect of points chosen in this way.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, OperatingPoint
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.false_alarms import poisson_interval
from earshot_trainer.evaluate.operating_points import Evidence, choose_operating_points
from earshot_trainer.evaluate.sections import Material, Section
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import alarmed_clips
from earshot_trainer.evaluate.tracks import Scored, Track


@dataclass(frozen=True, slots=True)
class NestedPreset:
    """One preset over all pools, each at points chosen without it.

    Attributes:
        found: recordings with the label that have an event, of `positives`.
        clip_alarms: clips without the label that have one, of `negative_clips`.
        points: the point of each pool, in the pools' order.
    """

    found: int
    positives: int
    recall: float
    clip_alarms: int
    negative_clips: int
    false_alarms: int
    hours: float
    per_hour: float
    per_hour_interval: tuple[float, float]
    points: list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class NestedFigures:
    """Presets by label."""

    by_label: dict[str, dict[str, NestedPreset]]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


def measure_nested(
    subject: Subject, scored: Scored, material: Material, advance: Callable[[int, int], None]
) -> NestedFigures | None:
    """Choose and measure across pools; None with one pool, or where no label can be chosen for in every pool."""
    if len(material.pools) < 2:
        return None
    by_label: dict[str, dict[str, NestedPreset]] = {}
    labels = list(subject.presets.balanced)
    for number, label in enumerate(labels):
        found = _nest(scored, label, material)
        advance(number + 1, len(labels))
        if found:
            by_label[label] = found
    return NestedFigures(by_label) if by_label else None


def show_nested(console: Console, found: Mapping[str, NestedFigures]) -> None:
    """Print all subjects in one table."""
    table = Table(
        title="operating points chosen on the other folds: what they give where they were not chosen",
        title_justify="left",
    )
    for column in ("model", "label", "preset", "recall", "clip alarms", "false alarms", "per hour (95 %)"):
        table.add_column(column)
    for title, figures in found.items():
        for label, presets in figures.by_label.items():
            for name, one in presets.items():
                low, high = one.per_hour_interval
                table.add_row(
                    title, label, name,
                    f"{one.recall:.3f} of {one.positives}",
                    f"{one.clip_alarms} of {one.negative_clips}",
                    f"{one.false_alarms} in {one.hours:.2f} h",
                    f"{one.per_hour:.2f} ({low:.2f} to {high:.2f})",
                )  # fmt: skip
    console.print(table)


def _nest(scored: Scored, label: str, material: Material) -> dict[str, NestedPreset]:
    tracks = scored.by_label[label]
    pools = [{recording.path for recording in pool} for pool in material.pools]
    sides = []
    for pool in pools:
        inside = [track for track in tracks if track.recording.path in pool]
        outside = [track for track in tracks if track.recording.path not in pool]
        events = [track for track in scored.events.get(label, ()) if track.recording.path not in pool]
        try:
            presets, _ = choose_operating_points({label: Evidence.of(outside, label, events)})
        except OperatorError:
            return {}
        sides.append((inside, presets))
    return {
        str(name): _sum(label, [(inside, getattr(presets, name)[label]) for inside, presets in sides])
        for name in PRESET_SENSITIVITY
    }


def _sum(label: str, sides: Sequence[tuple[list[Track], OperatingPoint]]) -> NestedPreset:
    found = positives = clip_alarms = negative_clips = alarms = 0
    seconds = 0.0
    for tracks, point in sides:
        holding = [track for track in tracks if track.is_positive(label)]
        others = [track for track in tracks if not track.is_positive(label)]
        clips = [track for track in others if track.recording.kind == "clip"]
        long = [track for track in others if track.recording.kind == "long"]
        found += int(alarmed_clips(holding, label, point).sum())
        clip_alarms += int(alarmed_clips(clips, label, point).sum())
        alarms += sum(len(track.events(label, point)) for track in long)
        positives, negative_clips = positives + len(holding), negative_clips + len(clips)
        seconds += sum(track.duration_s for track in long)
    hours = seconds / 3600
    low, high = poisson_interval(alarms)
    return NestedPreset(
        found=found,
        positives=positives,
        recall=found / positives if positives else 0.0,
        clip_alarms=clip_alarms,
        negative_clips=negative_clips,
        false_alarms=alarms,
        hours=round(hours, 4),
        per_hour=alarms / hours if hours else 0.0,
        per_hour_interval=(low / hours, high / hours) if hours else (0.0, 0.0),
        points=[point.model_dump() for _, point in sides],
    )


NESTED = Section("nested", measure_nested, show_nested)
"""Chosen points where they were not chosen."""
