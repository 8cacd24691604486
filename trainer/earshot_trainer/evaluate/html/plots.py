"""The page's plots: each from plain numbers to one SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from earshot_trainer.evaluate.equal_alarms import SweepPoint
from earshot_trainer.evaluate.html.curves import Histogram, PrecisionRecall
from earshot_trainer.evaluate.html.svg import (
    INK,
    MODEL_COLOURS,
    MODEL_LINES,
    MUTED,
    ONE,
    PAPER,
    TWO,
    drawing,
    to_svg,
)

PRESET_MARKERS = {"quiet": "v", "balanced": "o", "sensitive": "^"}
LEAST_MISSED = 0.002
MOST_BARS = 14
MOST_NAME = 28


@dataclass(frozen=True, slots=True)
class Line:
    """One named curve: `y` over `x`, with an optional interval around it."""

    title: str
    x: Sequence[float]
    y: Sequence[float]
    low: Sequence[float] | None = None
    high: Sequence[float] | None = None


def plot_precision_recall(
    curves: Mapping[str, PrecisionRecall], points: Mapping[str, Mapping[str, tuple[float, float]]], label: str
) -> Markup:
    """Draw precision over recall of every model; `points` are (recall, precision) by model and preset."""
    with drawing() as (figure, axes):
        for (title, curve), colour, line in zip(curves.items(), MODEL_COLOURS, MODEL_LINES, strict=False):
            axes.plot(curve.recall, curve.precision, color=colour, linestyle=line, label=_short(title))
            for preset, (recall, precision) in points.get(title, {}).items():
                axes.plot(recall, precision, PRESET_MARKERS[preset], color=colour, markeredgecolor=PAPER, markersize=7)
        _explain_markers(axes)
        axes.set(xlabel=f"recall of clips with {label}", ylabel="precision", xlim=(-0.02, 1.03), ylim=(-0.02, 1.03))
        _legend_above(figure, axes)
        return to_svg(figure, f"precision over recall for {label}: {', '.join(curves)}")


def plot_detection_error(
    curves: Mapping[str, Sequence[SweepPoint]],
    points: Mapping[str, Mapping[str, tuple[float, float]]],
    hours: float,
    what: str,
) -> Markup:
    """Draw the missed share of `what` over false alarms per hour; no alarm at all stands at the left edge."""
    least = 0.5 / hours
    with drawing() as (figure, axes):
        for (title, curve), colour, line in zip(curves.items(), MODEL_COLOURS, MODEL_LINES, strict=False):
            x = [max(point.per_hour, least) for point in curve]
            y = [max(1 - point.recall, LEAST_MISSED) for point in curve]
            axes.plot(x, y, color=colour, linestyle=line, label=_short(title))
            for preset, (per_hour, missed) in points.get(title, {}).items():
                axes.plot(
                    max(per_hour, least),
                    max(missed, LEAST_MISSED),
                    PRESET_MARKERS[preset],
                    color=colour,
                    markeredgecolor=PAPER,
                    markersize=7,
                    clip_on=False,
                )
        axes.set(xscale="log", yscale="log", xlabel="false alarms per hour (log; left edge: none)")
        axes.set_ylabel(f"{what} missed (log)")
        highest = max(point.per_hour for curve in curves.values() for point in curve)
        axes.set_xlim(least * 0.93, max(30 * least, 1.2 * highest))
        axes.set_ylim(LEAST_MISSED, 1.1)
        _plain_log(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        _legend_above(figure, axes)
        return to_svg(figure, f"share of {what} missed over false alarms per hour: {', '.join(curves)}")


def plot_histogram(histogram: Histogram, label: str, title: str, enters: Sequence[float]) -> Markup:
    """Draw how many clips have which score; `enters` are the presets' thresholds."""
    with drawing(2.6) as (figure, axes):
        axes.stairs(histogram.without, histogram.edges, color=TWO, fill=True, alpha=0.35, label="without")
        axes.stairs(histogram.without, histogram.edges, color=TWO, linewidth=1.2)
        axes.stairs(histogram.with_label, histogram.edges, color=ONE, linewidth=2.0, label=f"with {label}")
        for enter in enters:
            axes.axvline(enter, color=INK, linestyle=":", linewidth=0.9)
        axes.set(yscale="log", xlabel="clip score (highest posterior)", ylabel="clips (log)", xlim=(0, 1))
        axes.set_ylim(bottom=0.7)
        _plain_log(axes, x=False)
        _legend_above(figure, axes)
        return to_svg(figure, f"clips with and without {label} by score, {title}")


def plot_lines(lines: Sequence[Line], x_label: str, y_label: str) -> Markup:
    """Draw curves of shares, 0 to 1, with markers."""
    with drawing(2.8) as (figure, axes):
        for number, line in enumerate(lines):
            colour, style = MODEL_COLOURS[number % 4], MODEL_LINES[number % 4]
            axes.plot(line.x, line.y, "o", linestyle=style, color=colour, markersize=4, label=_short(line.title))
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        axes.set(xlabel=x_label, ylabel=y_label, ylim=(-0.03, 1.05))
        _legend_above(figure, axes)
        return to_svg(figure, f"{y_label} by {x_label}: {', '.join(line.title for line in lines)}")


def plot_bars(
    names: Sequence[str], values: Mapping[str, Sequence[float]], x_label: str, *, longest: float | None = None
) -> Markup:
    """Draw horizontal bars, one group a name in the order given, one bar a series; at most MOST_BARS names.

    `longest` is where the axis ends; by itself after the longest bar.
    """
    shown = list(names)[:MOST_BARS]
    with drawing(1.2 + 0.28 * len(shown) + 0.17 * len(values)) as (figure, axes):
        height = 0.8 / len(values)
        for number, ((title, row), colour) in enumerate(zip(values.items(), MODEL_COLOURS, strict=False)):
            places = np.arange(len(shown)) - 0.4 + (number + 0.5) * height
            axes.barh(places, list(row)[: len(shown)], height * 0.9, color=colour, label=_short(title))
        axes.set_yticks(range(len(shown)), [_short(name) for name in shown])
        axes.set_ylim(len(shown) - 0.45, -0.55)
        axes.set_xlabel(x_label)
        if longest is not None:
            axes.set_xlim(0, longest)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.grid(visible=False, axis="y")
        if len(values) > 1:
            _legend_above(figure, axes)
        return to_svg(figure, f"{x_label} by class")


def plot_delays(delays_s: Mapping[str, Sequence[float | None]]) -> Markup:
    """Draw the share of events told within a time of their onset, one curve a model; None is an event not heard."""
    with drawing(2.6) as (figure, axes):
        known = [delay for row in delays_s.values() for delay in row if delay is not None]
        longest_s = max(3.0, *known) if known else 3.0
        for (title, row), colour, line in zip(delays_s.items(), MODEL_COLOURS, MODEL_LINES, strict=False):
            ordered = sorted(delay for delay in row if delay is not None)
            shares = [0.0, *(number / len(row) for number in range(1, len(ordered) + 1))]
            times_s = [0.0, *ordered, longest_s]
            axes.step(times_s, [*shares, shares[-1]], where="post", color=colour, linestyle=line, label=_short(title))
        axes.set(xlabel="seconds from onset to decision", ylabel="share of all events", xlim=(0, longest_s))
        axes.set_ylim(0, 1.03)
        _legend_above(figure, axes)
        return to_svg(figure, f"time to detect: {', '.join(delays_s)}")


def _legend_above(figure: Figure, axes: Axes) -> None:
    """Keep names out of the curves' way; narrow names share a row."""
    lines, names = axes.get_legend_handles_labels()
    columns = max(1, min(len(names), 70 // (max(map(len, names), default=0) + 6)))
    figure.legend(lines, names, loc="outside upper left", ncols=columns, columnspacing=1.2, handlelength=1.8)


def _explain_markers(axes: Axes) -> None:
    for preset, marker in PRESET_MARKERS.items():
        axes.plot([], [], marker, color=MUTED, markersize=5, label=preset)


def _plain_log(axes: Axes, *, x: bool = True) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (axes.xaxis, axes.yaxis) if x else (axes.yaxis,):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=15))
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(NullFormatter())


def _short(text: str, most: int = MOST_NAME) -> str:
    """Shorten a name that would crowd a plot; control characters, which SVG cannot hold, become spaces."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable if len(printable) <= most else printable[: most - 1] + "…"
