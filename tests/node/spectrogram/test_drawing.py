"""The picture is a PNG that any reader takes, small whatever it shows, and it shows where the sound is."""

import struct
import zlib
from datetime import UTC, timedelta, timezone
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.mqtt_node import event

from earshot_node.contract.manifest import MelRange
from earshot_node.inference.siren_ridge import mel_centres_hz
from earshot_node.spectrogram.drawing import HEIGHT, WIDTH, draw
from earshot_node.spectrogram.lettering import letter_dots, plain, text_width
from earshot_node.spectrogram.memory import Excerpt
from earshot_node.spectrogram.sketch import Sketch

LARGEST_BYTES = 40_000
ZONE = timezone(timedelta(hours=1))


def sketch(frames: NDArray[np.uint8], **changes: Any) -> Sketch:
    message = event(1, "offset").model_copy(update=changes)
    return Sketch(message, Excerpt(frames, 5.0, 0.02), 8.0, 5.0 + 0.02 * len(frames) - 1.0)


def pixels(png: bytes) -> NDArray[np.uint8]:
    """Decode as a reader would: checksums, palette, filter; uint8[height, width, 3]."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    chunks: dict[bytes, bytes] = {}
    at = 8
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        chunks[kind] = png[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", png[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + chunks[kind])
        at += 12 + length
    width, height, depth, colors = struct.unpack(">IIBB", chunks[b"IHDR"][:10])
    assert (depth, colors) == (8, 3)
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert set(lines[:, 0].tolist()) == {2}
    numbers = np.cumsum(lines[:, 1:], axis=0, dtype=np.uint8)
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(-1, 3)
    assert numbers.max() < len(palette)
    return palette[numbers]


def test_noise_from_edge_to_edge_stays_small() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1200, 80)).astype(np.uint8)
    png = draw(sketch(noise))
    assert pixels(png).shape == (HEIGHT, WIDTH, 3)
    assert len(png) < LARGEST_BYTES


@given(st.integers(1, 1300), st.sampled_from([1, 13, 40, 80, 128]), st.integers(0, 255))
@settings(max_examples=25, deadline=None)
def test_excerpt_of_any_shape_is_drawn(frames: int, mels: int, value: int) -> None:
    assert pixels(draw(sketch(np.full((frames, mels), value, np.uint8)))).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("level", [20, 150])
@pytest.mark.parametrize("tone_hz", [700, 3000])
def test_tone_is_the_brightest_line_at_its_frequency_however_soft(tone_hz: int, level: int) -> None:
    frames = np.random.default_rng(1).integers(0, 12, (600, 80)).astype(np.uint8)
    band = int(np.argmin(np.abs(mel_centres_hz(80) - tone_hz)))
    frames[150:550, band] = level + 60
    rows = pixels(draw(sketch(frames)))[76:388, 300:500].sum(axis=(1, 2))
    assert 1 - (float(np.argmax(rows)) + 2) / 312 == pytest.approx((band + 0.5) / 80, abs=0.02)


@pytest.mark.parametrize(("range_hz", "ticks_khz"), [((50.0, 8000.0), 5), ((125.0, 7500.0), 4)])
def test_frequencies_are_marked_where_the_bands_lie(range_hz: MelRange, ticks_khz: int) -> None:
    frames = np.zeros((300, 64), np.uint8)
    picture = pixels(draw(Sketch(event(1), Excerpt(frames, 0.0, 0.02, range_hz), 3.0, None)))
    marked = np.flatnonzero((picture[76:388, 52:60] == (224, 228, 236)).all(axis=(1, 2)))
    shares = 1 - marked[::2][::-1] / 312
    centres_hz = mel_centres_hz(64, range_hz)
    expected = [(np.interp(1000 * khz, centres_hz, np.arange(64)) + 0.5) / 64 for khz in (0.5, 1, 2, 4, 8)]
    assert shares == pytest.approx(expected[:ticks_khz], abs=0.01)


def test_time_is_local_and_duration_is_told() -> None:
    frames = np.zeros((300, 80), np.uint8)
    here = draw(sketch(frames), ZONE)
    assert here != draw(sketch(frames), UTC)
    assert here != draw(sketch(frames, duration_s=9.9), ZONE)
    assert here == draw(sketch(frames), ZONE)


def test_event_that_still_sounds_is_drawn() -> None:
    lasting = Sketch(event(1), Excerpt(np.zeros((300, 80), np.uint8), 0.0, 0.02), 3.0, None)
    assert pixels(draw(lasting)).shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize("name", ["", "Küche & Straße", "客厅", "x" * 80, "\n\x00"])
def test_source_of_any_name_is_drawn(name: str) -> None:
    assert pixels(draw(sketch(np.zeros((300, 80), np.uint8), source_name=name))).shape == (HEIGHT, WIDTH, 3)


def test_letters_without_accents_stand_in_for_those_with() -> None:
    assert plain("Küche, Straße, 客") == "Kuche, Strasse, ?"


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=30), st.integers(1, 4))
def test_text_is_as_wide_as_told(text: str, scale: int) -> None:
    dots = letter_dots(text, scale)
    assert dots.shape == (7 * scale, text_width(text, scale) if text else 0)


def test_letters_differ_from_each_other() -> None:
    drawn = {letter_dots(chr(code), 1).tobytes() for code in range(33, 127)}
    assert len(drawn) == 94
