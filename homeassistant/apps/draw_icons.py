"""Draws icon.png and logo.png of both apps: sound waves that reach a point; red for the node, blue for the trainer.

python homeassistant/apps/draw_icons.py
"""
# ruff: noqa: INP001 - a script in a folder of its own

import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float64]
FOLDER = Path(__file__).resolve().parent
BACKGROUND = (0.11, 0.13, 0.18)
COLOURS = {"node": (0.95, 0.30, 0.24), "trainer": (0.25, 0.62, 0.96)}
SMOOTH = 4


def draw(width: int, height: int, colour: tuple[float, float, float]) -> Image:
    """Return RGBA, 0 to 1: a rounded plate, a dot on its left and three waves."""
    rows, columns = np.mgrid[0 : height * SMOOTH, 0 : width * SMOOTH] / SMOOTH
    side = float(min(width, height))
    plate = _rounded(columns, rows, width, height, side * 0.2)
    x, y = (columns - width / 2) / side + 0.28, (rows - height / 2) / side
    distance, angle = np.hypot(x, y), np.abs(np.arctan2(y, x))
    ink = distance < 0.085
    for radius in (0.24, 0.42, 0.60):
        ink |= (np.abs(distance - radius) < 0.042) & (angle < np.radians(48))
    image = np.zeros((*plate.shape, 4))
    image[..., :3] = np.where(ink[..., None], colour, BACKGROUND)
    image[..., 3] = plate
    shape = (height, SMOOTH, width, SMOOTH, 4)
    smooth: Image = image.reshape(shape).mean(axis=(1, 3))
    return smooth


def _rounded(x: Image, y: Image, width: int, height: int, radius: float) -> NDArray[np.bool_]:
    outside_x = np.maximum(np.abs(x - width / 2) - (width / 2 - radius), 0)
    outside_y = np.maximum(np.abs(y - height / 2) - (height / 2 - radius), 0)
    inside: NDArray[np.bool_] = np.hypot(outside_x, outside_y) <= radius
    return inside


def encode_png(image: Image) -> bytes:
    """Return an RGBA image as PNG."""
    height, width, _ = image.shape
    pixels = np.round(image * 255).astype(np.uint8)
    lines = b"".join(b"\0" + row.tobytes() for row in pixels)

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(lines, 9)) + chunk(b"IEND", b"")


def main() -> None:
    """Write the pictures."""
    for app, colour in COLOURS.items():
        (FOLDER / app / "icon.png").write_bytes(encode_png(draw(128, 128, colour)))
        (FOLDER / app / "logo.png").write_bytes(encode_png(draw(250, 100, colour)))


if __name__ == "__main__":
    main()
