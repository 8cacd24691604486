"""Plots as SVG inside a page, in the page's colours: drawn once, light and dark by the page's style sheet.

matplotlib gets stand-in colours; in the SVG they become CSS variables (`--ink`, `--one` ...).
"""

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
from markupsafe import Markup, escape
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, GRID = "#010101", "#020202", "#030303"
ONE, TWO, THREE = "#040404", "#050505", "#060606"
PAPER = "#070707"
VARIABLES = {
    INK: "--ink", MUTED: "--muted", GRID: "--grid", ONE: "--one", TWO: "--two", THREE: "--three", PAPER: "--paper"
}  # fmt: skip
"""Stand-in colour -> CSS variable of the page."""

MODEL_COLOURS = (ONE, TWO, THREE, MUTED)
MODEL_LINES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)), "-.")
WIDTH_IN = 4.5
"""As wide as a phone shows at a legible text size; a desktop shows two side by side."""

_STYLE: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "earshot",
    "text.parse_math": False,
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.frameon": False,
    "legend.fontsize": 8,
    "lines.linewidth": 1.8,
    "image.interpolation": "none",
    "svg.image_inline": True,
}


@contextmanager
def drawing(height_in: float = 3.0) -> Iterator[tuple[Figure, Axes]]:
    """Give an empty figure in the page's style with one axes; margins follow its texts."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure, figure.subplots()


@contextmanager
def stacked_drawing(
    height_in: float, shares: tuple[float, ...], margins: tuple[float, float, float, float]
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Give axes one above the other on one x axis, heights by `shares`; fixed `margins` draw much faster.

    Args:
        height_in: of the figure.
        shares: relative heights, from the top.
        margins: left, right, bottom, top as shares of the figure.
    """
    left, right, bottom, top = margins
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in))
        FigureCanvasSVG(figure)
        placing = {"left": left, "right": right, "bottom": bottom, "top": top, "hspace": 0.08}
        axes = figure.subplots(len(shares), 1, sharex=True, height_ratios=shares, gridspec_kw=placing)
        yield figure, list(axes)


def to_svg(figure: Figure, description: str) -> Markup:
    """Return the figure as an `<svg>` element; call it inside `drawing`.

    Args:
        figure: what was drawn.
        description: what a person who does not see it should know; any text, it is escaped.
    """
    stream = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(stream, format="svg", transparent=True, metadata=nothing)
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text, flags=re.DOTALL)
    for colour, variable in VARIABLES.items():
        text = text.replace(colour, f"var({variable})")
    text = _without_unused_ids(text)
    head, rest = text.split(">", 1)
    view = re.search(r'viewBox="[\d. ]+"', head)
    assert view is not None, "matplotlib's SVG has a viewBox"
    label = escape(description)
    opening = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view[0]} '
    return Markup(f'{opening}class="plot" role="img" aria-label="{label}">{rest}')  # noqa: S704 - matplotlib escapes texts


def _without_unused_ids(text: str) -> str:
    """Several figures share a page: only ids that something points to stay (matplotlib hashes those)."""
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', text))
    names = {name for pair in used for name in pair if name}
    return re.sub(r' id="([^"]*)"', lambda found: found[0] if found[1] in names else "", text)
