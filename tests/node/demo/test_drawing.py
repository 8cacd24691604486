"""The demo's timeline in characters."""

import pytest

from earshot_node.demo.drawing import draw_timeline
from earshot_node.demo.story import Heard, Story, Truth

TRUTHS = (Truth(10.0, 20.0, is_siren=True, note=""), Truth(30.0, 31.0, is_siren=False, note=""))


def test_rows_stand_under_each_other() -> None:
    told = Story(40.0, TRUTHS, {"a": Heard(12.0, 13.0, 0.0, "siren", 90, 22.0)})
    assert draw_timeline(told, 40.0, 48) == [
        "street  ..........SSSSSSSSSS..........t.........",
        "heard   ............##########..................",
        "        0 s       10 s      20 s      30 s",
    ]


def test_what_has_not_come_yet_is_blank() -> None:
    told = Story(40.0, TRUTHS, {"a": Heard(12.0, 13.0, 0.0, "siren", 90)})
    rows = draw_timeline(told, 15.0, 48)
    assert rows[1] == "heard   ............###" + " " * 25


def test_unknown_audio_has_no_street() -> None:
    assert [row[:5] for row in draw_timeline(Story(7.0), 7.0, 30)] == ["heard", "     "]


@pytest.mark.parametrize("duration_s", [0.0, 0.01, 1.0, 59.9, 3600.0, 86_400.0])
@pytest.mark.parametrize("width", [1, 20, 80, 200])
def test_any_length_fits_any_width(duration_s: float, width: int) -> None:
    told = Story(duration_s, TRUTHS, {"a": Heard(-1.0, 0.0, 0.0, "siren", 90, 1e6)})
    for row in draw_timeline(told, duration_s, width):
        assert len(row) <= max(width, 18)
