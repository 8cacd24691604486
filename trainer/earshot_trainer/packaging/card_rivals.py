"""The model card's comparison with rivals: how they rank the same clips, and recall at equal false alarms."""

from collections.abc import Mapping
from typing import Any

from earshot_trainer.packaging.figures import is_pooled, rivals_of
from earshot_trainer.packaging.markdown import table


def rivals_section(report: Mapping[str, Any]) -> str:
    """Return both tables of every rival; empty where the report has none."""
    rivals = list(rivals_of(report))
    parts = []
    if ranking := [row for rival in rivals for row in _ranking(report, rival)]:
        columns = ("label", "against", "AUC", "its AUC", "AP", "its AP", "AP, difference in points")
        parts.append("\n".join(["On the same clips:", "", *table(columns, ranking)]))
    if equal := [row for rival in rivals for row in _equal_alarms(rival)]:
        header = ("found", "against", "its point, alarms", "recall", "its recall")
        text = (
            "At equal false alarms: the rival decides by its own operating point; `enter` of this model is moved until "
            "it gives at most as many false alarms on the same long recordings:"
        )
        parts.append("\n".join([text, "", *table(header, equal)]))
    return "\n\n".join(parts)


def _ranking(report: Mapping[str, Any], rival: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for label, figures in report.get("labels", {}).items():
        mine, theirs = figures.get("tagging"), rival["labels"].get(label, {}).get("tagging")
        if mine and theirs:
            pairs = [f"{one[name]:.4f}" for name in ("auc", "average_precision") for one in (mine, theirs)]
            gap = 100 * (mine["average_precision"] - theirs["average_precision"])
            rows.append((label, rival["subject"]["title"], *pairs, f"{gap:+.2f}"))
    return rows


def _equal_alarms(rival: Mapping[str, Any]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    if is_pooled(rival):
        return rows  # The same weights in float: ranking them is enough.
    for one in rival.get("equal_alarms", ()):
        theirs, mine = one["rival"], one["mine"]
        alarms = f"{one['preset']}, {theirs['false_alarms']} in {one['hours']:.2f} h"
        recall = f"{mine['recall']:.3f}" if mine else "none strict enough"
        what = f"{one['label']}: {one['what']}"
        rows.append((what, rival["subject"]["title"], alarms, recall, f"{theirs['recall']:.3f}"))
    return rows
