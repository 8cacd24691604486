"""Robustness as tables for a terminal."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.robustness import ConditionFigures, RobustnessFigures

MOST_LEFT_OUT_SHOWN = 5


def show_robustness(console: Console, found: Mapping[str, RobustnessFigures]) -> None:
    """Print one subject in full, or several side by side, by their titles; then how it was measured."""
    if not found:
        return
    if len(found) == 1:
        print_robustness(console, next(iter(found.values())))
        return
    first = next(iter(found.values()))
    title = f"{first.label} under changed conditions: recall at balanced / alarms without it / AUC"
    table = Table(title=title, title_justify="left")
    for column in ("condition", *found):
        table.add_column(column)
    names = [row.name for row in first.conditions]
    by_name = {subject: {row.name: row for row in figures.conditions} for subject, figures in found.items()}
    for name in names:
        table.add_row(name, *(_short(rows[name]) if name in rows else "-" for rows in by_name.values()))
    console.print(table)
    for subject, figures in found.items():
        say(console, f"{subject}: {_takes(figures)}")
    _print_protocol(console, first)


def print_robustness(console: Console, figures: RobustnessFigures) -> None:
    """Print what was heard, one row a condition, and what was not measured."""
    table = Table(title=f"{figures.label}: recall under changed conditions", title_justify="left")
    for column in ("condition", *PRESET_SENSITIVITY, "balanced 95 %", "to plain", "alarms", "peak", "AUC", "AUC 95 %"):
        table.add_column(column, no_wrap=True)
    family = figures.conditions[0].family
    for row in figures.conditions:
        if row.family != family:
            table.add_section()
            family = row.family
        table.add_row(*_cells(row))
    console.print(table)
    say(console, _takes(figures))
    say(console, "  to plain: change of recall at balanced; alarms: share of the takes without it, at balanced")
    _print_protocol(console, figures)


def _takes(figures: RobustnessFigures) -> str:
    protocol = figures.protocol
    return (
        f"{figures.positives} takes of {figures.groups} recordings, {figures.negatives} takes without {figures.label}; "
        f"seed {protocol['seed']}, data {protocol['data_sha256'][:12]}, points: {protocol['presets_origin']}; "
        f"{figures.wall_s:g} s"
    )


def _print_protocol(console: Console, figures: RobustnessFigures) -> None:
    for what in ("take", "level", "backgrounds", "recall", "codecs"):
        say(console, f"  {what}: {figures.protocol[what]}")
    for name, reason in figures.not_measured.items():
        say(console, f"not measured: {name}: {reason}")
    for problem in figures.left_out[:MOST_LEFT_OUT_SHOWN]:
        say(console, f"left out: {problem}")
    if len(figures.left_out) > MOST_LEFT_OUT_SHOWN:
        say(console, f"and {len(figures.left_out) - MOST_LEFT_OUT_SHOWN} more left out; all are in the JSON")


def _cells(row: ConditionFigures) -> list[str]:
    low, high = row.recall_interval["balanced"]
    auc_low, auc_high = row.auc_interval
    return [
        row.name,
        *(f"{row.recall[preset]:.2f}" for preset in PRESET_SENSITIVITY),
        f"{low:.2f} to {high:.2f}",
        f"{row.change['balanced']:+.2f}",
        f"{row.false_alarms['balanced']:.2f}",
        f"{row.mean_peak:.2f}",
        f"{row.auc:.3f}",
        f"{auc_low:.3f} to {auc_high:.3f}",
    ]


def _short(row: ConditionFigures) -> str:
    return f"{row.recall['balanced']:.2f} / {row.false_alarms['balanced']:.2f} / {row.auc:.3f}"
