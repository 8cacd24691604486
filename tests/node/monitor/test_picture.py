"""What the monitor draws."""

import numpy as np
import pytest

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.facts import Frames, Offset, Onset, SoundEvent, StreamReset
from earshot_node.monitor.picture import CHART_ROWS, chart, draw, level_bar, posterior_bar
from earshot_node.monitor.recent import Recent

POINT = OperatingPoint(enter=0.6, leave=0.4, min_length_s=0.5, bridging_s=1.0, cooldown_s=2.0)


def frames(*posteriors: float, level_dbfs: float = -40.0, begin_s: float = 0.0) -> Frames:
    rows = np.array([[one] for one in posteriors], np.float32)
    return Frames("a", 0, begin_s, rows, np.zeros((4 * len(rows), 80), np.float32), level_dbfs)


def event(offset_s: float | None = None) -> SoundEvent:
    return SoundEvent("siren", 1.0, offset_s, 0.9)


def test_thresholds_stand_in_the_bar() -> None:
    assert posterior_bar(0.0, POINT, 10) == "[....(.|...]"
    assert posterior_bar(0.9, POINT, 10) == "[####(#|##.]"
    assert posterior_bar(1.0, POINT, 10) == "[####(#|###]"


def test_threshold_at_one_stays_in_the_bar() -> None:
    highest = POINT.model_copy(update={"enter": 1.0})
    assert posterior_bar(0.5, highest, 10) == "[####(....|]"


def test_level_bar_spans_80_db() -> None:
    assert level_bar(None, 8) == "[........]"
    assert level_bar(-120.0, 8) == "[........]"
    assert level_bar(-40.0, 8) == "[####....]"
    assert level_bar(3.0, 8) == "[########]"


def test_chart_has_lines_at_the_thresholds() -> None:
    rows = chart([None, 0.0, 0.35, 0.75], POINT)
    assert len(rows) == CHART_ROWS
    assert rows[0] == " 1.0 |    "
    assert rows[2] == " 0.8 |   #"
    assert rows[4] == " 0.6 |---# enter 0.60"
    assert rows[6] == " 0.4 |--## leave 0.40"
    assert rows[9] == " 0.1 |  ##"


def test_equal_thresholds_share_a_line() -> None:
    rows = chart([None], POINT.model_copy(update={"leave": 0.6}))
    assert rows[4] == " 0.6 |- enter 0.60, leave 0.60"


def test_history_keeps_the_highest_posterior_of_each_column() -> None:
    recent = Recent(("siren",), hop_s=0.1, span_s=1.0)
    recent.push([frames(0.1, 0.9, 0.2, 0.3)])
    assert recent.history("siren", 5) == [None, None, None, pytest.approx(0.9), pytest.approx(0.3)]
    recent.push([frames(*[0.0] * 10)])
    assert recent.history("siren", 5) == [0.0] * 5


def test_open_event_is_shown_until_it_ends_or_the_stream_does() -> None:
    recent = Recent(("siren",), hop_s=0.1)
    recent.push([frames(0.7), Onset("a", 0, event(), 1.0)])
    assert draw(recent, {"siren": POINT}, 80)[1].endswith("  EVENT")
    recent.push([Offset("a", 0, event(2.0), 2.0)])
    assert not draw(recent, {"siren": POINT}, 80)[1].endswith("EVENT")
    recent.push([Onset("a", 0, event(), 1.0), StreamReset("a", 1)])
    assert recent.open_since_s == {}


@pytest.mark.parametrize("leave", [POINT.leave, POINT.enter - 0.01])
@pytest.mark.parametrize("width", [40, 80, 200])
def test_rows_fit_the_terminal(width: int, leave: float) -> None:
    recent = Recent(("siren",), hop_s=0.1)
    recent.push([frames(0.5, level_dbfs=-120.0), Onset("a", 0, event(), 1.0)])
    rows = draw(recent, {"siren": POINT.model_copy(update={"leave": leave})}, width)
    assert len(rows) == 2 + 2 + CHART_ROWS
    assert all(len(row) <= max(width, 46) for row in rows)


def test_many_labels_have_bars_only() -> None:
    labels = ("siren", "horn", "glass")
    recent = Recent(labels, hop_s=0.1)
    assert len(draw(recent, dict.fromkeys(labels, POINT), 80)) == 4
