"""Each event gives one sketch soon after its onset and one at its offset."""

import numpy as np
import pytest
from support.mqtt_node import event

from earshot_node.spectrogram.sketch import AFTER_S, BEFORE_S, EARLY_AFTER_S, LONGEST_S, Sketch, Sketcher

SECOND = np.zeros((100, 8), np.float32)


def hear(sketcher: Sketcher, begin_s: float, end_s: float) -> list[Sketch]:
    found: list[Sketch] = []
    for second in range(int(begin_s), int(end_s)):
        found += sketcher.push(float(second), SECOND, 0.01)
    return found


def test_first_sketch_comes_soon_after_the_onset_and_only_once() -> None:
    sketcher = Sketcher()
    assert hear(sketcher, 0, 10) == []
    sketcher.begin(event(1), 8.0, 9.5)
    assert hear(sketcher, 10, 11) == []
    (sketch,) = hear(sketcher, 11, 40)
    assert sketch.event == event(1)
    assert (sketch.onset_s, sketch.offset_s) == (8.0, None)
    assert sketch.excerpt.begin_s == pytest.approx(8.0 - BEFORE_S)
    assert 9.5 + EARLY_AFTER_S <= sketch.excerpt.begin_s + len(sketch.excerpt.frames) * sketch.excerpt.hop_s <= 13


def test_last_sketch_shows_the_event_with_what_was_before_and_after() -> None:
    sketcher = Sketcher()
    hear(sketcher, 0, 10)
    sketcher.begin(event(1), 8.0, 9.0)
    hear(sketcher, 10, 20)
    (sketch,) = sketcher.end(event(1, "offset"), 17.0)
    assert sketch.event.phase == "offset"
    assert sketch.excerpt.begin_s == pytest.approx(8.0 - BEFORE_S)
    assert len(sketch.excerpt.frames) * sketch.excerpt.hop_s == pytest.approx(BEFORE_S + 9.0 + AFTER_S)


def test_event_that_ends_at_once_gives_one_sketch() -> None:
    sketcher = Sketcher()
    hear(sketcher, 0, 10)
    sketcher.begin(event(1), 8.0, 9.0)
    assert len(sketcher.end(event(1, "offset"), 9.0)) == 1
    assert hear(sketcher, 10, 20) == []


def test_long_event_shows_its_last_seconds() -> None:
    sketcher = Sketcher()
    hear(sketcher, 0, 10)
    sketcher.begin(event(1), 8.0, 9.0)
    hear(sketcher, 10, 300)
    (sketch,) = sketcher.end(event(1, "offset"), 297.0)
    assert sketch.excerpt.begin_s == pytest.approx(297.0 + AFTER_S - LONGEST_S)
    assert len(sketch.excerpt.frames) * sketch.excerpt.hop_s == pytest.approx(LONGEST_S)


def test_event_before_another_stream_is_forgotten() -> None:
    sketcher = Sketcher()
    hear(sketcher, 0, 10)
    sketcher.begin(event(1), 8.0, 9.0)
    sketcher.reset()
    assert hear(sketcher, 0, 30) == []
    assert sketcher.end(event(1, "offset"), 9.0) == []
