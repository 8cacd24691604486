"""A PNG with a palette, written with zlib alone."""

import struct
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Color = tuple[int, int, int]
Canvas = NDArray[np.uint8]


def encode_png(canvas: Canvas, palette: Sequence[Color]) -> bytes:
    """Return an 8-bit palette PNG.

    Args:
        canvas: uint8[height, width], numbers of colours.
        palette: at most 256 colours.
    """
    height, width = canvas.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    above = np.vstack((np.zeros((1, width), np.uint8), canvas[:-1]))
    # Filter 2, the difference to the row above: rows that repeat become zeros.
    lines = np.hstack((np.full((height, 1), 2, np.uint8), canvas - above))
    chunks = (
        (b"IHDR", header),
        (b"PLTE", bytes(value for color in palette for value in color)),
        (b"IDAT", zlib.compress(lines.tobytes(), 6)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
