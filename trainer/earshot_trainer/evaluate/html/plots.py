"""The page's plots: each from plain numbers to one SVG."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, NullFormatter
from numpy.typing import NDArray

from earshot_trainer.evaluate.html.curves import DetectionError, Histogram, PrecisionRecall
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
            axes.plot(curve.recall, curve.precision, color=colour, linestyle=line, label=title)
            for preset, (recall, precision) in points.get(title, {}).items():
                axes.plot(recall, precision, PRESET_MARKERS[preset], color=colour, markeredgecolor=PAPER, markersize=7)
        _explain_markers(axes)
        axes.set(xlabel=f"recall of clips with {label}", ylabel="precision", xlim=(-0.02, 1.03), ylim=(-0.02, 1.03))
        axes.legend(loc="lower left")
        return to_svg(figure, f"precision over recall for {label}: {', '.join(curves)}")


def plot_detection_error(
    curves: Mapping[str, DetectionError], points: Mapping[str, Mapping[str, tuple[float, float]]], label: str
) -> Markup:
    """Draw the share of missed clips over false alarms per hour; no alarm at all stands at the left edge."""
    with drawing() as (figure, axes):
        least = min(0.5 / curve.hours for curve in curves.values())
        for (title, curve), colour, line in zip(curves.items(), MODEL_COLOURS, MODEL_LINES, strict=False):
            x, y = np.maximum(curve.per_hour, least), np.maximum(curve.missed, LEAST_MISSED)
            axes.plot(x, y, color=colour, linestyle=line, label=title)
            for preset, (per_hour, missed) in points.get(title, {}).items():
                axes.plot(
                    max(per_hour, least), max(missed, LEAST_MISSED), PRESET_MARKERS[preset],
                    color=colour, markeredgecolor=PAPER, markersize=7, clip_on=False,
                )  # fmt: skip
        axes.set(xscale="log", yscale="log", xlabel="false alarms per hour (log; left edge: none)")
        axes.set_ylabel(f"clips with {label} missed")
        axes.set_xlim(left=least * 0.9)
        axes.set_ylim(LEAST_MISSED, 1.1)
        _plain_log(axes)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda share, _: f"{100 * share:g} %"))
        axes.legend(loc="lower left")
        return to_svg(figure, f"share of missed clips over false alarms per hour for {label}: {', '.join(curves)}")


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
        axes.legend(loc="upper center", title=_short(title), title_fontsize=8)
        return to_svg(figure, f"clips with and without {label} by score, {title}")


def plot_lines(
    lines: Sequence[Line], x_label: str, y_label: str, *, share: bool = True, names: Sequence[str] | None = None
) -> Markup:
    """Draw curves with markers; `share` fixes the y axis to 0 to 1, `names` label the places 0, 1, 2 ... of x."""
    with drawing(2.8) as (figure, axes):
        for number, line in enumerate(lines):
            colour, style = MODEL_COLOURS[number % 4], MODEL_LINES[number % 4]
            axes.plot(line.x, line.y, "o", linestyle=style, color=colour, markersize=4, label=_short(line.title))
            if line.low is not None and line.high is not None:
                axes.fill_between(line.x, line.low, line.high, color=colour, alpha=0.15, linewidth=0)
        if share:
            axes.set_ylim(-0.03, 1.05)
        if names is not None:
            axes.set_xticks(range(len(names)), [_short(name, 14) for name in names])
        axes.set(xlabel=x_label, ylabel=y_label)
        axes.legend(loc="best")
        return to_svg(figure, f"{y_label} by {x_label}: {', '.join(line.title for line in lines)}")


def plot_bars(names: Sequence[str], values: Mapping[str, Sequence[float]], x_label: str) -> Markup:
    """Draw horizontal bars, one group a name in the order given, one bar a series; at most MOST_BARS names."""
    shown = list(names)[:MOST_BARS]
    with drawing(0.9 + 0.26 * len(shown)) as (figure, axes):
        height = 0.8 / len(values)
        for number, ((title, row), colour) in enumerate(zip(values.items(), MODEL_COLOURS, strict=False)):
            places = np.arange(len(shown)) - 0.4 + (number + 0.5) * height
            axes.barh(places, list(row)[: len(shown)], height * 0.9, color=colour, label=_short(title))
        axes.set_yticks(range(len(shown)), [_short(name) for name in shown])
        axes.set_ylim(len(shown) - 0.45, -0.55)
        axes.set_xlabel(x_label)
        axes.grid(visible=False, axis="y")
        if len(values) > 1:
            axes.legend(loc="lower right")
        return to_svg(figure, f"{x_label} by class")


def plot_delays(delays_s: Mapping[str, Sequence[float]]) -> Markup:
    """Draw the share of events found within a time of their onset, one curve a model."""
    with drawing(2.6) as (figure, axes):
        longest_s = max((max(row) for row in delays_s.values() if len(row)), default=1.0)
        for (title, row), colour, line in zip(delays_s.items(), MODEL_COLOURS, MODEL_LINES, strict=False):
            ordered: NDArray[np.float64] = np.sort(np.asarray(row, dtype=np.float64))
            if len(ordered):
                steps = np.arange(1, len(ordered) + 1) / len(ordered)
                axes.step([0, *ordered, longest_s], [0, *steps, 1], where="post", color=colour, linestyle=line,
                          label=_short(title))  # fmt: skip
        axes.set(xlabel="seconds from onset to decision", ylabel="share of found events", xlim=(0, longest_s))
        axes.set_ylim(0, 1.03)
        axes.legend(loc="lower right")
        return to_svg(figure, f"time to detect: {', '.join(delays_s)}")


def _explain_markers(axes: Axes) -> None:
    for preset, marker in PRESET_MARKERS.items():
        axes.plot([], [], marker, color=MUTED, markersize=5, label=preset)


def _plain_log(axes: Axes, *, x: bool = True) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for axis in (axes.xaxis, axes.yaxis) if x else (axes.yaxis,):
        axis.set_major_formatter(plain)
        axis.set_minor_formatter(NullFormatter())


def _short(text: str, most: int = MOST_NAME) -> str:
    """Shorten a name that would crowd a plot; control characters, which SVG cannot hold, become spaces."""
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return printable if len(printable) <= most else printable[: most - 1] + "…"
