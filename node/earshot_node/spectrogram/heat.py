"""The colours of level in pictures of sound: from nearly black over violet and orange to nearly white."""

from typing import Final

import numpy as np

from earshot_node.spectrogram.png import Color

_STOPS: Final[tuple[Color, ...]] = (
    (13, 14, 22),
    (48, 25, 92),
    (122, 36, 118),
    (200, 62, 92),
    (245, 128, 62),
    (252, 200, 96),
    (254, 250, 214),
)


def heat(shades: int) -> tuple[Color, ...]:
    """Return so many colours, the softest first."""
    at = np.linspace(0, len(_STOPS) - 1, shades)
    channels = [np.interp(at, range(len(_STOPS)), [color[channel] for color in _STOPS]) for channel in range(3)]
    return tuple((round(red), round(green), round(blue)) for red, green, blue in zip(*channels, strict=True))
