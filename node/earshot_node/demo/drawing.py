"""The scene as two rows of characters; legible without colours."""

from collections.abc import Iterable
from math import ceil

from earshot_node.demo.story import Story

SIREN, TRAP, QUIET, HEARD, COMING = "S", "t", ".", "#", " "


def draw_timeline(story: Story, now_s: float, width: int) -> list[str]:
    """Return rows of about `width` columns: what sounds (known scenes only), what was heard until `now_s`, seconds."""
    columns = max(10, width - 8)
    scale = columns / max(story.duration_s, 1e-3)
    rows = []
    if story.truths:
        street = [QUIET] * columns
        _paint(street, scale, ((one.onset_s, one.offset_s) for one in story.traps), TRAP)
        _paint(street, scale, ((one.onset_s, one.offset_s) for one in story.sirens), SIREN)
        rows.append("street  " + "".join(street))
    heard = [QUIET] * columns
    ends = ((one.onset_s, min(now_s, one.offset_s or now_s)) for one in story.heard.values())
    _paint(heard, scale, ends, HEARD)
    past = min(columns, ceil(now_s * scale))
    rows.append("heard   " + "".join(heard[:past]) + COMING * (columns - past))
    rows.append("        " + _seconds(columns, scale, story.duration_s))
    return rows


def _paint(row: list[str], scale: float, spans: Iterable[tuple[float, float]], sign: str) -> None:
    for begin_s, end_s in spans:
        first = max(0, int(begin_s * scale))
        last = max(first + 1, ceil(end_s * scale))
        for column in range(first, min(last, len(row))):
            row[column] = sign


def _seconds(columns: int, scale: float, duration_s: float) -> str:
    step_s = next((step for step in (1, 2, 5, 10, 20, 30, 60, 120, 300, 600) if step * scale >= 8), 1800)
    axis = [" "] * columns
    for second in range(0, int(duration_s) + 1, step_s):
        text = f"{second} s"
        column = int(second * scale)
        if column + len(text) <= columns:
            axis[column : column + len(text)] = text
    return "".join(axis).rstrip()
