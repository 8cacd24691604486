"""A recording as a PNG: log-mel above, each label's posterior below; time runs to the right over the whole width."""

from typing import Final

import numpy as np

from earshot_node.spectrogram.png import Canvas, Color, encode_png
from earshot_trainer.labelling.picture import shades_of
from earshot_trainer.labelling.view import View

WIDTH: Final = 720
MEL_HEIGHT: Final = 240
CURVE_HEIGHT: Final = 60
_GAP: Final = 4
_SHADES: Final = 64
_BACKGROUND, _CURVE, _LINE = _SHADES, _SHADES + 1, _SHADES + 2
_COLORS: Final[tuple[Color, ...]] = ((22, 26, 34), (64, 200, 240), (70, 78, 94))
_HEAT: Final[tuple[Color, ...]] = (
    (13, 14, 22),
    (48, 25, 92),
    (122, 36, 118),
    (200, 62, 92),
    (245, 128, 62),
    (252, 200, 96),
    (254, 250, 214),
)


def review_picture(view: View) -> bytes:
    """Return the PNG, WIDTH wide."""
    height = MEL_HEIGHT + (_GAP + CURVE_HEIGHT) * len(view.labels)
    canvas: Canvas = np.full((height, WIDTH), _BACKGROUND, np.uint8)
    if len(view.log_mel):
        shades = shades_of(view.log_mel, WIDTH, MEL_HEIGHT)
        canvas[:MEL_HEIGHT] = np.rint(shades * (_SHADES - 1)).astype(np.uint8)
        for number in range(len(view.labels)):
            top = MEL_HEIGHT + _GAP + number * (CURVE_HEIGHT + _GAP)
            _draw_curve(canvas[top : top + CURVE_HEIGHT], view, number)
    return encode_png(canvas, (*_heat(), *_COLORS))


def _draw_curve(place: Canvas, view: View, number: int) -> None:
    place[[0, CURVE_HEIGHT // 2, CURVE_HEIGHT - 1]] = _LINE
    frames = np.arange(WIDTH) * len(view.posteriors) // WIDTH
    heights = np.rint(view.posteriors[frames, number] * (CURVE_HEIGHT - 1)).astype(int)
    rows = np.arange(CURVE_HEIGHT)[:, None]
    place[rows >= CURVE_HEIGHT - heights[None, :]] = _CURVE


def _heat() -> tuple[Color, ...]:
    at = np.linspace(0, len(_HEAT) - 1, _SHADES)
    channels = [np.interp(at, range(len(_HEAT)), [color[channel] for color in _HEAT]) for channel in range(3)]
    return tuple((round(red), round(green), round(blue)) for red, green, blue in zip(*channels, strict=True))
