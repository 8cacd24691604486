"""A recording as a PNG: log-mel above, each label's posterior below; time runs to the right over the whole width."""

from typing import Final

import numpy as np

from earshot_node.inference.siren_ridge import mel_centres_hz
from earshot_node.spectrogram.heat import heat
from earshot_node.spectrogram.lettering import DOTS_HIGH, letter_dots
from earshot_node.spectrogram.png import Canvas, Color, encode_png
from earshot_trainer.labelling.picture import shades_of
from earshot_trainer.labelling.view import View

WIDTH: Final = 720
MEL_HEIGHT: Final = 240
CURVE_HEIGHT: Final = 60
_GAP: Final = 4
_SHADES: Final = 64
_BACKGROUND, _CURVE, _LINE, _TEXT = _SHADES, _SHADES + 1, _SHADES + 2, _SHADES + 3
_COLORS: Final[tuple[Color, ...]] = ((22, 26, 34), (64, 200, 240), (70, 78, 94), (235, 240, 248))
_MARKS_KHZ: Final = (0.5, 1, 2, 4)
_STEPS_S: Final = (0.5, 1, 2, 5, 10, 30, 60)
_MOST_TICKS: Final = 6
_LETTERS: Final = 2


def review_picture(view: View) -> bytes:
    """Return the PNG, WIDTH wide."""
    height = MEL_HEIGHT + (_GAP + CURVE_HEIGHT) * len(view.labels)
    canvas: Canvas = np.full((height, WIDTH), _BACKGROUND, np.uint8)
    if len(view.log_mel):
        shades = shades_of(view.log_mel, WIDTH, MEL_HEIGHT)
        canvas[:MEL_HEIGHT] = np.rint(shades * (_SHADES - 1)).astype(np.uint8)
        _draw_frequencies(canvas, view)
        _draw_times(canvas, len(view.log_mel) * view.mel_hop_s)
        for number in range(len(view.labels)):
            top = MEL_HEIGHT + _GAP + number * (CURVE_HEIGHT + _GAP)
            _draw_curve(canvas[top : top + CURVE_HEIGHT], view, number)
    return encode_png(canvas, (*heat(_SHADES), *_COLORS))


def _draw_curve(place: Canvas, view: View, number: int) -> None:
    place[[0, CURVE_HEIGHT // 2, CURVE_HEIGHT - 1]] = _LINE
    frames = np.arange(WIDTH) * len(view.posteriors) // WIDTH
    heights = np.rint(view.posteriors[frames, number] * (CURVE_HEIGHT - 1)).astype(int)
    rows = np.arange(CURVE_HEIGHT)[:, None]
    place[rows >= CURVE_HEIGHT - heights[None, :]] = _CURVE


def _draw_frequencies(canvas: Canvas, view: View) -> None:
    mels = view.log_mel.shape[1]
    centres_hz = mel_centres_hz(mels, view.mel_range_hz)
    for khz in _MARKS_KHZ:
        band = float(np.interp(1000 * khz, centres_hz, np.arange(mels))) + 0.5
        y = round(MEL_HEIGHT * (1 - band / mels))
        canvas[y, :6] = _TEXT
        _write(canvas, 9, y - DOTS_HIGH * _LETTERS // 2, f"{khz:g} kHz")


def _draw_times(canvas: Canvas, length_s: float) -> None:
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_TICKS), _STEPS_S[-1])
    for number in range(1, int(length_s / step_s) + 1):
        x = round(number * step_s / length_s * WIDTH)
        canvas[MEL_HEIGHT - 6 : MEL_HEIGHT, min(x, WIDTH - 1)] = _TEXT
        if x < WIDTH - 40:
            _write(canvas, x + 4, MEL_HEIGHT - DOTS_HIGH * _LETTERS - 4, f"{number * step_s:g} s")


def _write(canvas: Canvas, x: int, y: int, text: str) -> None:
    """Write light letters on a dark ground, so that they are read on any picture."""
    dots = letter_dots(text, _LETTERS)
    place = canvas[y - 2 : y + dots.shape[0] + 2, x - 2 : x + dots.shape[1] + 2]
    place[:] = _BACKGROUND
    place[2:-2, 2:-2][dots] = _TEXT
