"""A PNG with a palette, written with zlib alone."""

import struct
import zlib
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

_DIFFERENCE_TO_ABOVE: Final = b"\x02"
"""The filter of every row: rows that repeat become zeros."""
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
    above = np.zeros(width, np.uint8)
    compressor = zlib.compressobj(6)
    lines = bytearray()
    for row in canvas:  # one by one: a node has little memory
        lines += compressor.compress(_DIFFERENCE_TO_ABOVE + (row - above).tobytes())
        above = row
    lines += compressor.flush()
    chunks = (
        (b"IHDR", header),
        (b"PLTE", bytes(value for color in palette for value in color)),
        (b"IDAT", bytes(lines)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
