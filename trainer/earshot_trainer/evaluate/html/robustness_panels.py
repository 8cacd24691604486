"""Robustness on the page: recall along every family of conditions."""

from collections.abc import Mapping, Sequence

from earshot_trainer.evaluate.html.panels import Figure, Panel, Part
from earshot_trainer.evaluate.html.plots import Line, plot_bars, plot_lines
from earshot_trainer.evaluate.html.tables import Table
from earshot_trainer.evaluate.robustness import ConditionFigures, RobustnessFigures

PRESET = "balanced"
HEADLINE_SNR_DB = 0.0


def show_robustness(found: Mapping[str, RobustnessFigures], label: str) -> Part | None:
    """Return the part for the label that was measured; None for another one."""
    found = {title: figures for title, figures in found.items() if figures.label == label}
    if not found:
        return None
    first = next(iter(found.values()))
    protocol = first.protocol
    note = (
        f"The same {first.positives} takes of {first.groups} recordings with {label}, and {first.negatives} without, "
        f"under every condition. Recall at {PRESET}: {protocol['recall']}. Seed {protocol['seed']}. "
        f"Take: {protocol['take']}. "
        f"Level: {protocol['level']}."
    )
    panels = [
        _curve(found, family) if _has_values(first, family) else _bars(found, family)
        for family in dict.fromkeys(row.family for row in first.conditions)
    ]
    panels += [
        Panel(f"Conditions, {title}", table=_table(figures), wide=True, folded=True) for title, figures in found.items()
    ]
    if first.not_measured:
        rows = [[name, reason] for name, reason in first.not_measured.items()]
        panels.append(Panel("Not measured", table=Table(["condition", "why"], rows), wide=True, folded=True))
    return Part("robustness", note, panels, _headline(found))


def _has_values(figures: RobustnessFigures, family: str) -> bool:
    curve = figures.curve(family)
    return len(curve) > 1 and all(row.value is not None for row in curve)


def _curve(found: Mapping[str, RobustnessFigures], family: str) -> Panel:
    lines, unit = [], ""
    for title, figures in found.items():
        rows = figures.curve(family)
        unit = rows[0].unit if rows else unit
        low, high = ([row.recall_interval[PRESET][side] for row in rows] for side in (0, 1))
        x = [row.value if row.value is not None else 0.0 for row in rows]
        lines.append(Line(title, x, [row.recall[PRESET] for row in rows], low, high))
    x_label = f"{family}, {unit}" if unit else family
    note = f"Recall at {PRESET}; band: 95 % over recordings."
    return Panel(f"By {family}", note, plot_lines(lines, x_label, "recall"))


def _bars(found: Mapping[str, RobustnessFigures], family: str) -> Panel:
    names = [row.name for row in next(iter(found.values())).curve(family)]
    values = {title: _recalls(figures.curve(family), names) for title, figures in found.items()}
    return Panel(family.capitalize(), f"Recall at {PRESET}.", plot_bars(names, values, "recall", longest=1.0))


def _recalls(rows: Sequence[ConditionFigures], names: Sequence[str]) -> list[float]:
    by_name = {row.name: row.recall[PRESET] for row in rows}
    return [by_name.get(name, 0.0) for name in names]


def _headline(found: Mapping[str, RobustnessFigures]) -> list[Figure]:
    values = {
        title: next((row.recall[PRESET] for row in figures.curve("SNR") if row.value == HEADLINE_SNR_DB), None)
        for title, figures in found.items()
    }
    return [Figure(f"recall at {HEADLINE_SNR_DB:g} dB SNR", f"robustness takes, {PRESET}", values, "{:.3f}".format)]


def _table(figures: RobustnessFigures) -> Table:
    columns = ["condition", "quiet", "balanced", "sensitive", "balanced 95 %", "to plain", "alarms without", "AUC"]
    rows = []
    for row in figures.conditions:
        low, high = row.recall_interval[PRESET]
        recalls = [f"{row.recall[preset]:.2f}" for preset in ("quiet", PRESET, "sensitive")]
        change, alarms = f"{row.change[PRESET]:+.2f}", f"{row.false_alarms[PRESET]:.2f}"
        rows.append([row.name, *recalls, f"{low:.2f} to {high:.2f}", change, alarms, f"{row.auc:.3f}"])
    return Table(columns, rows)
