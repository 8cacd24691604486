"""The fleet as a table for people."""

from datetime import datetime

from rich.markup import escape
from rich.table import Table

from earshot_trainer.fleet.board import NodeView

_COLUMNS = ("node", "state", "model", "sources", "hours", "waiting", "last event")
_STYLES = {"healthy": "green", "deaf": "red", "offline": "red", "starting": "yellow"}


def rows_of(views: list[NodeView], now: datetime) -> list[tuple[str, ...]]:
    """Return a line of texts for each node, and one for each problem that it tells."""
    rows = []
    for view in views:
        name = view.id if view.is_member else f"{view.id} (not joined)"
        rows.append((name, view.state, _model(view), _sources(view), *_figures(view), _event(view, now)))
    return [tuple(clean(text) for text in row) for row in rows]


def problems_of(views: list[NodeView]) -> list[str]:
    """Return what is wrong, a line each; what an offline node said before is not news."""
    lines = []
    for view in views:
        if view.status == "online" and view.health is not None:
            lines += [f"{view.id}: {problem}" for problem in view.health.problems]
        if view.recordings is not None and view.recordings.problem:
            lines.append(f"{view.id}: {view.recordings.problem}")
        if view.result is not None and view.result.reason:
            lines.append(f"{view.id}: model {view.result.version} {view.result.outcome}: {view.result.reason}")
    return [clean(line) for line in lines]


def fleet_table(views: list[NodeView], now: datetime) -> Table:
    """Return the same for a terminal, with the problems below."""
    table = Table(box=None, header_style="bold", caption_justify="left", caption_style="yellow")
    for name in _COLUMNS:
        table.add_column(name, justify="right" if name in ("hours", "waiting") else "left")
    for row in rows_of(views, now):
        cells = [escape(text) for text in row]
        style = _STYLES.get(row[1])
        cells[1] = f"[{style}]{cells[1]}[/]" if style else cells[1]
        table.add_row(*cells)
    table.caption = escape("\n".join(problems_of(views))) or None
    return table


def plain_lines(views: list[NodeView], now: datetime) -> list[str]:
    """Return the same as aligned lines."""
    rows = [_COLUMNS, *rows_of(views, now)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [*lines, *problems_of(views)]


def _model(view: NodeView) -> str:
    if view.info is None:
        return "-"
    version = view.health.model_version if view.health is not None else view.info.model.version
    return f"{view.info.model.name} {version}"


def _sources(view: NodeView) -> str:
    if view.info is None:
        return "-"
    return ", ".join(source.id for source in view.info.sources) or "none"


def _figures(view: NodeView) -> tuple[str, str]:
    hours = f"{view.health.hours_listened:.1f}" if view.health is not None else "-"
    if view.recordings is None:
        return hours, "-"
    candidates = f" + {view.recordings.candidates} unlabelled" if view.recordings.candidates else ""
    return hours, f"{view.recordings.waiting}{candidates}"


def _event(view: NodeView, now: datetime) -> str:
    event = view.last_event
    if event is None:
        return "none"
    return f"{event.event_type} at {event.source}, {_ago((now - event.onset).total_seconds())}"


def _ago(seconds: float) -> str:
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(0.0, seconds) / size:.0f} {unit} ago"
    return f"{seconds / 86_400:.0f} days ago"


def clean(text: str) -> str:
    """Nodes choose these texts; a terminal must not obey them."""
    return "".join(c if c.isprintable() else " " for c in text)[:200]
