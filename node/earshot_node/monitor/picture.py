"""What the monitor shows, as rows of characters; legible without colours and without Unicode."""

from collections.abc import Mapping
from math import ceil
from typing import Final

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.monitor.recent import Recent

LOWEST_DBFS: Final = -80.0
CHART_ROWS: Final = 10
_MAX_CHARTS: Final = 2
_BESIDE_CHART: Final = len("0.9 |") + len(" enter 0.94, leave 0.92") + 1


def draw(recent: Recent, points: Mapping[str, OperatingPoint], width: int) -> list[str]:
    """Return the rows for the present moment, at most `width` columns wide.

    Args:
        recent: what was heard lately.
        points: operating point by label.
        width: columns of the terminal.
    """
    bar = max(10, width - 48)
    rows = [f"{'level':<12} {_level(recent.level_dbfs):>9}  {level_bar(recent.level_dbfs, bar)}"]
    for label, point in points.items():
        posterior = recent.posteriors.get(label, 0.0)
        sounding = "  EVENT" if label in recent.open_since_s else ""
        rows.append(f"{label:<12.12} {posterior:9.2f}  {posterior_bar(posterior, point, bar)}{sounding}")
    if len(points) <= _MAX_CHARTS:
        for label, point in points.items():
            rows += ["", f"{label}, last {recent.span_s:.0f} s"]
            rows += chart(recent.history(label, max(10, width - _BESIDE_CHART)), point)
    return rows


def level_bar(level_dbfs: float | None, width: int) -> str:
    """Draw a level from -80 to 0 dBFS; None is empty."""
    filled = round(min(1.0, max(0.0, 1.0 - (LOWEST_DBFS if level_dbfs is None else level_dbfs) / LOWEST_DBFS)) * width)
    return f"[{'#' * filled}{'.' * (width - filled)}]"


def posterior_bar(posterior: float, point: OperatingPoint, width: int) -> str:
    """Draw a posterior from 0 to 1, with `(` where an event is left and `|` where it is entered, never on one place."""
    filled = round(posterior * width)
    cells = ["#" if cell < filled else "." for cell in range(width)]
    enter = min(width - 1, int(point.enter * width))
    cells[max(0, min(enter - 1, int(point.leave * width)))] = "("
    cells[enter] = "|"
    return f"[{''.join(cells)}]"


def chart(history: list[float | None], point: OperatingPoint) -> list[str]:
    """Draw posteriors over time, the newest at the right, with lines at the thresholds."""
    enter, leave = _row_of(point.enter), _row_of(point.leave)
    names = {leave: f" leave {point.leave:.2f}", enter: f" enter {point.enter:.2f}"}
    if enter == leave:
        names = {enter: f" enter {point.enter:.2f}, leave {point.leave:.2f}"}
    rows = []
    for row in range(CHART_ROWS, 0, -1):
        empty = "-" if row in names else " "
        cells = ("#" if value is not None and ceil(value * CHART_ROWS) >= row else empty for value in history)
        rows.append(f"{row / CHART_ROWS:4.1f} |{''.join(cells)}{names.get(row, '')}")
    return rows


def _row_of(posterior: float) -> int:
    return max(1, ceil(posterior * CHART_ROWS))


def _level(level_dbfs: float | None) -> str:
    return "-" if level_dbfs is None else f"{level_dbfs:.1f} dBFS"
