"""Draws a sketch: a dark card, twice as wide as a phone's, that fits light and dark dashboards."""

from datetime import datetime, tzinfo
from typing import Final

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.messages import EventMessage
from earshot_node.inference.siren_ridge import mel_centres_hz
from earshot_node.spectrogram.heat import heat
from earshot_node.spectrogram.lettering import ADVANCE, DOTS_HIGH, letter_dots, plain, text_width
from earshot_node.spectrogram.memory import STEP, Excerpt, Shades
from earshot_node.spectrogram.png import Canvas, Color, encode_png
from earshot_node.spectrogram.sketch import Sketch

WIDTH: Final = 720
HEIGHT: Final = 432
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 708, 76, 388
_SCALE: Final = 3
_MARGIN: Final = 12
_SHADES: Final = 32
_BACKGROUND, _TEXT, _MARK = _SHADES, _SHADES + 1, _SHADES + 2
_COLORS: Final[tuple[Color, ...]] = ((22, 26, 34), (224, 228, 236), (64, 200, 240))
_DECIBELS: Final = 10.0 / float(np.log(10.0))
_BRIGHTEST, _DARKEST = 0.997, 0.25
_LEAST_RANGE_DB: Final = 24.0
_MOST_RANGE_DB: Final = 54.0
_TICKS_KHZ: Final = (0.5, 1, 2, 4, 8)
_STEPS_S: Final = (0.5, 1, 2, 5, 10)
_MOST_TICKS: Final = 7


def draw(sketch: Sketch, zone: tzinfo | None = None) -> bytes:
    """Return the picture as PNG, WIDTH times HEIGHT, 8 to 40 kB.

    Args:
        sketch: what to show.
        zone: of the time that is written; default: the machine's.
    """
    canvas: Canvas = np.full((HEIGHT, WIDTH), _BACKGROUND, np.uint8)
    canvas[_TOP:_BOTTOM, _LEFT:_RIGHT] = _field(sketch.excerpt.frames)
    _write_titles(canvas, sketch.event, zone)
    _draw_frequencies(canvas, sketch.excerpt)
    _draw_times(canvas, sketch)
    return encode_png(canvas, (*heat(_SHADES), *_COLORS))


def _field(frames: Shades) -> Canvas:
    """Return the plot: two pixels a column, the lowest band at the bottom."""
    columns, bands = (_RIGHT - _LEFT) // 2, frames.shape[1]
    edges = np.linspace(0, len(frames), columns + 1)
    begins = np.minimum(edges[:-1].astype(int), len(frames) - 1)
    summed = np.add.reduceat(frames, begins, axis=0, dtype=np.float32)
    counts = np.diff(np.append(begins, len(frames)))[:, None]
    # Where there are fewer frames than columns, a frame fills several of them.
    mean = np.where(counts > 0, summed / np.maximum(counts, 1), frames[begins])
    shades = _contrast(mean)[:, ::-1].T
    rows = np.arange(_BOTTOM - _TOP) * bands // (_BOTTOM - _TOP)
    return np.repeat(shades[rows], 2, axis=1)


def _contrast(values: NDArray[np.float32]) -> Shades:
    """Spread what is there over all shades: a soft event is to be seen as well as a loud one."""
    decibels = values * (STEP * _DECIBELS)
    ordered = np.sort(decibels, axis=None)  # np.percentile would import 11 MB of masked arrays
    top, low = (float(ordered[round(share * (len(ordered) - 1))]) for share in (_BRIGHTEST, _DARKEST))
    span = min(_MOST_RANGE_DB, max(_LEAST_RANGE_DB, top - low))
    shares = np.clip((decibels - (top - span)) / span, 0.0, 1.0)
    return np.asarray(np.rint(shares * (_SHADES - 1)), np.uint8)


def _write_titles(canvas: Canvas, event: EventMessage, zone: tzinfo | None) -> None:
    label = event.event_type.replace("_", " ").capitalize()
    at = event.onset.astimezone(zone)
    _write_pair(canvas, 10, f"{label} {event.confidence} %", _moment(at))
    how = f"{event.duration_s:.1f} s" if event.duration_s is not None else "sounds now"
    kind = "" if event.kind in (None, "unknown") else f"{event.kind.replace('_', '-')}, "
    _write_pair(canvas, 42, event.source_name, f"{kind}{how}, {event.level_dbfs:.0f} dBFS")


def _moment(at: datetime) -> str:
    return f"{at:%a} {at.day} {at:%b} {at:%H:%M:%S}"


def _write_pair(canvas: Canvas, y: int, left: str, right: str) -> None:
    """Write to both edges; the left text is cut where it would reach the right one."""
    right_x = WIDTH - _MARGIN - text_width(right, _SCALE)
    _write(canvas, right_x, y, right)
    room = (right_x - 2 * _MARGIN) // (ADVANCE * _SCALE)
    _write(canvas, _MARGIN, y, left if len(plain(left)) <= room else plain(left)[: room - 2] + "..")


def _draw_frequencies(canvas: Canvas, excerpt: Excerpt) -> None:
    bands = excerpt.frames.shape[1]
    centres_hz = mel_centres_hz(bands, excerpt.range_hz)
    for khz in _TICKS_KHZ:
        if 1000 * khz > excerpt.range_hz[1]:
            continue
        band = float(np.interp(1000 * khz, centres_hz, np.arange(bands))) + 0.5
        y = round(_BOTTOM - band / bands * (_BOTTOM - _TOP))
        canvas[y - 1 : y + 1, _LEFT - 8 : _LEFT] = _TEXT
        text = f"{khz:g}".removeprefix("0")
        top = min(max(y - DOTS_HIGH * _SCALE // 2, _TOP), _BOTTOM - DOTS_HIGH * _SCALE)
        _write(canvas, _LEFT - 12 - text_width(text, _SCALE), top, text)
    _write(canvas, 2, _BOTTOM + 17, "kHz")


def _draw_times(canvas: Canvas, sketch: Sketch) -> None:
    """Seconds since the onset, and a bar below while the event lasts."""
    excerpt = sketch.excerpt
    length_s = len(excerpt.frames) * excerpt.hop_s
    begin_s = excerpt.begin_s - sketch.onset_s
    step_s = next((step for step in _STEPS_S if length_s / step <= _MOST_TICKS), _STEPS_S[-1])

    def x_of(time_s: float) -> int:
        share = min(1.0, max(0.0, (time_s - begin_s) / length_s))
        return round(_LEFT + share * (_RIGHT - _LEFT))

    end_s = begin_s + length_s if sketch.offset_s is None else sketch.offset_s - sketch.onset_s
    canvas[_BOTTOM + 1 : _BOTTOM + 6, x_of(0.0) : max(x_of(0.0) + 2, x_of(end_s))] = _MARK
    unit_x = _RIGHT - text_width("s", _SCALE)
    _write(canvas, unit_x, _BOTTOM + 17, "s")
    for number in range(int(np.ceil(begin_s / step_s)), int(np.floor((begin_s + length_s) / step_s)) + 1):
        x, text = x_of(number * step_s), f"{number * step_s:g}"
        canvas[_BOTTOM + 6 : _BOTTOM + 13, max(_LEFT, x - 1) : x + 1] = _TEXT
        left = x - text_width(text, _SCALE) // 2
        if left >= _LEFT and left + text_width(text, _SCALE) < unit_x - _MARGIN:
            _write(canvas, left, _BOTTOM + 17, text)


def _write(canvas: Canvas, x: int, y: int, text: str) -> None:
    """Write a line whose left upper corner is at `x`, `y`; what does not fit on the canvas is cut."""
    dots = letter_dots(text, _SCALE)[:, : max(0, WIDTH - max(0, x))]
    place = canvas[y : y + dots.shape[0], max(0, x) : max(0, x) + dots.shape[1]]
    place[dots] = _TEXT
