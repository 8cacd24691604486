"""The explanation as a picture: what was heard, what mattered, and the posterior, one above the other."""

from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.html.spectrogram import LogMelPicture, label_frequencies, log_mel_picture, mel_of
from earshot_trainer.explain.occlusion import BANDS, HIGHEST_HZ, LOWEST_HZ, PATCH_S, STEP_S, Attribution
from earshot_trainer.explain.stretch import Stretch

SPEAKS_FOR, SPEAKS_AGAINST, LINE = "#ff9a1f", "#4aa8ff", "#0062a3"
METHOD = (
    f"Method: occlusion. On a grid of {STEP_S:g} s by {BANDS} mel bands ({LOWEST_HZ:g} to {HIGHEST_HZ:g} Hz), patches "
    f"of {PATCH_S:g} s by two bands were turned down to the background of their frequencies, with soft edges, and the "
    "bundle's own graph heard the rest. Orange: the posterior (mean log-odds of the shaded frames) falls without the "
    "patch; blue: it rises. White: the strongest patches together."
)


def draw_explanation(
    path: Path, title: str, label: str, stretch: Stretch, column: int, attribution: Attribution, point: OperatingPoint
) -> None:
    """Write a PNG.

    Raises:
        OperatorError: the file cannot be written.
    """
    heard = log_mel_picture(stretch.samples, most_frames=1200)
    with mpl.rc_context(
        {"text.parse_math": False, "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
    ):
        figure = Figure(figsize=(9, 7.2), layout="constrained", facecolor="white")
        FigureCanvasAgg(figure)
        upper, middle, lower = figure.subplots(3, 1, sharex=True, height_ratios=(3, 3, 2))
        upper.set_title(title, loc="left", fontsize=10)
        heard.draw(upper, stretch.begin_s)
        _draw_attribution(middle, heard, stretch, attribution)
        _draw_posterior(lower, label, stretch, column, attribution, point)
        figure.supxlabel(METHOD, x=0.01, ha="left", fontsize=7.5, color="#555555", wrap=True)
        try:
            figure.savefig(path, format="png", dpi=120)
        except OSError as error:
            raise OperatorError(f"cannot write {path}: {error.strerror}; name another file with --out") from error


def _draw_attribution(axes: Axes, heard: LogMelPicture, stretch: Stretch, attribution: Attribution) -> None:
    heard.draw(axes, stretch.begin_s, colours="gray")
    strongest = float(np.abs(attribution.weight).max()) or 1.0
    share = (attribution.weight / strongest).T
    colours = np.empty((*share.shape, 4))
    colours[..., :3] = np.where(share[..., None] >= 0, mpl.colors.to_rgb(SPEAKS_FOR), mpl.colors.to_rgb(SPEAKS_AGAINST))
    colours[..., 3] = 0.85 * np.abs(share)
    end_s = stretch.begin_s + stretch.duration_s
    extent = (stretch.begin_s, end_s, mel_of(LOWEST_HZ), mel_of(HIGHEST_HZ))
    axes.imshow(colours, origin="lower", aspect="auto", extent=extent, interpolation="bilinear")
    if attribution.most is not None:
        most = attribution.most
        corner = (stretch.begin_s + most.begin_s, mel_of(most.low_hz))
        height = mel_of(most.high_hz) - mel_of(most.low_hz)
        axes.add_patch(
            Rectangle(corner, most.end_s - most.begin_s, height, fill=False, edgecolor="white", linewidth=1.5)
        )
    label_frequencies(axes)
    axes.set_xlim(stretch.begin_s, end_s)


def _draw_posterior(
    axes: Axes, label: str, stretch: Stretch, column: int, attribution: Attribution, point: OperatingPoint
) -> None:
    posteriors = stretch.posteriors[:, column]
    hop_s = stretch.duration_s / len(posteriors)
    times_s = stretch.begin_s + (1 + np.arange(len(posteriors))) * hop_s
    axes.fill_between(times_s, 0, 1, where=attribution.target, step="pre", color=SPEAKS_FOR, alpha=0.2, linewidth=0)
    axes.plot(times_s, posteriors, color=LINE, drawstyle="steps-pre", linewidth=1.6)
    for level, name, side in ((point.enter, "enter", "bottom"), (point.leave, "leave", "top")):
        axes.axhline(level, color="#555555", linestyle=":", linewidth=0.9)
        axes.annotate(name, (1, level), xycoords=("axes fraction", "data"), xytext=(3, 0), textcoords="offset points",
                      va=side, fontsize=7.5, color="#555555", annotation_clip=False)  # fmt: skip
    axes.set(ylim=(-0.02, 1.02), ylabel=f"posterior, {label}", xlabel="time in the recording, s")
