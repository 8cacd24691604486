"""A recording as a picture in a terminal: log-mel and posteriors over time; legible without colours."""

from typing import Final

import numpy as np
from numpy.typing import NDArray
from rich.style import Style
from rich.text import Text

from earshot_node.inference.siren_ridge import mel_centres_hz
from earshot_trainer.labelling.view import View

SHADES: Final = " .:-=+*#%@"
_HEAT: Final = ("#0d0e16", "#30195c", "#7a2476", "#c83e5c", "#f5803e", "#fcc860", "#fefad6")
_SPAN: Final = 10.0
"""Natural logarithm of power, from the loudest down: 43 dB."""
_MARGIN: Final = 6
_MARKS_HZ: Final = (500, 1000, 2000, 4000)


def picture(view: View, width: int, rows: int, *, in_colour: bool) -> list[Text]:
    """Return lines of at most `width` columns: log-mel, time, and one line of posteriors for each label.

    Args:
        view: what was heard; shorter than a frame gives no lines.
        width: columns, 20 or more.
        rows: lines of the log-mel.
        in_colour: half blocks in colours; else characters.
    """
    if not len(view.log_mel):
        return [Text("too short to show")]
    columns = max(10, width - _MARGIN - 1)
    levels = shades_of(view.log_mel, columns, rows * 2 if in_colour else rows)
    names = _names(view, rows)
    lines = []
    for row in range(rows):
        line = Text(f"{names.get(row, ''):>{_MARGIN - 1}} ", style="dim")
        line.append_text(_colours(levels[2 * row], levels[2 * row + 1]) if in_colour else _characters(levels[row]))
        lines.append(line)
    lines.append(_times(len(view.log_mel) * view.mel_hop_s, columns))
    for label in view.labels:
        posteriors = _squeezed(view.posteriors[:, view.labels.index(label)][:, None], columns, np.maximum)[:, 0]
        cells = "".join("." if value < 0.05 else str(min(9, int(value * 10))) for value in posteriors)
        lines.append(Text.assemble((f"{label[: _MARGIN - 1]:>{_MARGIN - 1}} ", "dim"), cells))
    return lines


def shades_of(log_mel: NDArray[np.float32], columns: int, rows: int) -> NDArray[np.float32]:
    """Return float32[rows, columns], 0 to 1, high frequencies first."""
    squeezed = _squeezed(log_mel, columns, np.maximum)
    banded = _squeezed(squeezed.T, rows, np.maximum)[::-1]
    loudest = float(np.percentile(banded, 99.5))
    return np.asarray(np.clip((banded - (loudest - _SPAN)) / _SPAN, 0.0, 1.0), np.float32)


def _squeezed(values: NDArray[np.float32], count: int, merge: np.ufunc) -> NDArray[np.float32]:
    """Make `count` rows of float32[n, m]: several are merged into one, or one is repeated."""
    begins = np.linspace(0, len(values), count, endpoint=False).astype(int)
    if len(values) < count:
        return np.asarray(values[begins], np.float32)
    return np.asarray(merge.reduceat(values, begins, axis=0), np.float32)


def _colours(upper: NDArray[np.float32], lower: NDArray[np.float32]) -> Text:
    line = Text()
    for top, bottom in zip(upper, lower, strict=True):
        line.append("▀", Style(color=_heat(float(top)), bgcolor=_heat(float(bottom))))
    return line


def _characters(shades: NDArray[np.float32]) -> Text:
    return Text("".join(SHADES[min(len(SHADES) - 1, int(shade * len(SHADES)))] for shade in shades))


def _heat(shade: float) -> str:
    return _HEAT[min(len(_HEAT) - 1, int(shade * len(_HEAT)))]


def _names(view: View, rows: int) -> dict[int, str]:
    mels = view.log_mel.shape[1]
    centres_hz = mel_centres_hz(mels, view.mel_range_hz)
    names = {}
    for mark_hz in _MARKS_HZ:
        band = int(np.abs(centres_hz - mark_hz).argmin())
        names[rows - 1 - band * rows // mels] = f"{mark_hz / 1000:g}k"
    return names


def _times(length_s: float, columns: int) -> Text:
    cells = [" "] * columns
    step_s = next(step for step in (0.5, 1, 2, 5, 10, 30, 60, 600) if length_s / step <= 8 or step == 600)
    for number in range(int(length_s / step_s) + 1):
        text = f"{number * step_s:g} s"
        at = int(number * step_s / length_s * columns)
        if at + len(text) <= columns:
            cells[at : at + len(text)] = text
    return Text(" " * _MARGIN + "".join(cells), style="dim")
