"""The detector's rules, one fact a test."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.detector import Decision, Detector, LabelDetector

HOP_S = 0.04


def point(**changes: float) -> OperatingPoint:
    settings = {"enter": 0.6, "leave": 0.3, "min_length_s": 0.12, "bridging_s": 0.08, "cooldown_s": 0.2}
    return OperatingPoint(**{**settings, **changes})


def decide(posteriors: list[float], operating_point: OperatingPoint | None = None) -> list[Decision]:
    """Push one frame after another, then flush."""
    detector = LabelDetector("siren", operating_point or point(), HOP_S)
    decisions = [detector.push(p) for p in posteriors]
    return [decision for decision in (*decisions, detector.flush()) if decision is not None]


def spans(decisions: list[Decision]) -> list[tuple[int, int]]:
    """First frame and frame after the last of every ended event."""
    return [
        (round(d.event.onset_s / HOP_S), round((d.event.offset_s or -1) / HOP_S))
        for d in decisions
        if d.phase == "offset"
    ]


def test_event_has_onset_of_its_first_frame_and_offset_of_its_last_frames_end() -> None:
    onset, offset = decide([0.0] * 5 + [0.7] * 4 + [0.0] * 10)
    assert onset.phase == "onset"
    assert onset.event.onset_s == pytest.approx(5 * HOP_S)
    assert onset.event.offset_s is None
    assert offset.phase == "offset"
    assert offset.event.offset_s == pytest.approx(9 * HOP_S)


def test_onset_is_decided_at_the_end_of_the_frame_that_fills_the_minimum_length() -> None:
    onset = decide([0.0] * 5 + [0.7] * 10)[0]
    assert onset.decided_s == pytest.approx(8 * HOP_S)


def test_event_shorter_than_minimum_length_is_never_reported() -> None:
    assert decide([0.9, 0.9] + [0.0] * 10) == []


def test_certain_frame_is_reported_at_once_and_the_event_keeps_its_onset() -> None:
    onset, offset = decide([0.0] * 5 + [0.7, 0.95] + [0.0] * 9, point(certain=0.9))
    assert onset.decided_s == pytest.approx(7 * HOP_S)
    assert onset.event.onset_s == pytest.approx(5 * HOP_S)
    assert offset.event.offset_s == pytest.approx(7 * HOP_S)


def test_certain_frame_of_a_reported_event_reports_nothing_again() -> None:
    assert [d.phase for d in decide([0.7] * 4 + [0.95] * 4, point(certain=0.9))] == ["onset", "offset"]


def test_nothing_is_certain_at_one() -> None:
    assert decide([1.0, 1.0] + [0.0] * 9, point(certain=1.0)) == []
    assert decide([1.0, 1.0] + [0.0] * 9) == []


def test_what_was_loud_under_a_former_point_is_not_certain_under_the_next() -> None:
    detector = LabelDetector("siren", point(certain=0.99), HOP_S)
    assert detector.push(0.98) is None
    detector.set_point(point(certain=0.97))
    assert detector.push(0.35) is None
    assert detector.push(0.98) is not None


def test_certain_frame_within_the_cooldown_waits_for_its_end() -> None:
    posteriors = [0.7] * 4 + [0.0] * 3 + [0.95] * 4 + [0.0] * 9
    assert spans(decide(posteriors, point(certain=0.9, cooldown_s=0.2))) == [(0, 4), (9, 11)]


def test_one_frame_is_enough_when_minimum_length_is_zero() -> None:
    assert spans(decide([0.0, 0.9, 0.0, 0.0, 0.0, 0.0], point(min_length_s=0.0))) == [(1, 2)]


def test_frame_between_leave_and_enter_does_not_begin_an_event() -> None:
    assert decide([0.5] * 50) == []


def test_frame_between_leave_and_enter_carries_an_event_on() -> None:
    assert spans(decide([0.7] + [0.4] * 9 + [0.0] * 9)) == [(0, 10)]


def test_gap_as_long_as_bridging_does_not_split_event() -> None:
    assert spans(decide([0.7] * 4 + [0.0] * 2 + [0.7] * 4 + [0.0] * 9)) == [(0, 10)]


def test_gap_longer_than_bridging_splits_event() -> None:
    operating_point = point(cooldown_s=0.0)
    assert spans(decide([0.7] * 4 + [0.0] * 3 + [0.7] * 4 + [0.0] * 9, operating_point)) == [(0, 4), (7, 11)]


def test_no_onset_within_cooldown_after_offset() -> None:
    posteriors = [0.7] * 4 + [0.0] * 3 + [0.7] * 4 + [0.0] * 9
    assert spans(decide(posteriors, point(cooldown_s=1.0))) == [(0, 4)]


def test_sound_that_outlasts_cooldown_begins_a_new_event_at_its_end() -> None:
    posteriors = [0.7] * 4 + [0.0] * 3 + [0.7] * 10 + [0.0] * 9
    assert spans(decide(posteriors, point(cooldown_s=0.2))) == [(0, 4), (9, 17)]


def test_candidate_that_was_never_reported_starts_no_cooldown() -> None:
    posteriors = [0.9] + [0.0] * 3 + [0.9] * 4 + [0.0] * 9
    assert spans(decide(posteriors, point(cooldown_s=10.0))) == [(4, 8)]


def test_peak_is_the_highest_posterior_of_the_event() -> None:
    onset, offset = decide([0.7, 0.8, 0.7, 0.95, 0.6] + [0.0] * 9)
    assert onset.event.peak == 0.8
    assert offset.event.peak == 0.95


def test_flush_ends_an_open_event_at_its_last_carrying_frame() -> None:
    assert spans(decide([0.7] * 5 + [0.0])) == [(0, 5)]


def test_removing_a_label_ends_its_event_and_adding_it_again_counts_on() -> None:
    detector = Detector(("siren",), {"siren": point()}, HOP_S)
    loud = np.full((5, 1), 0.9, np.float32)
    assert [d.phase for d in detector.push(loud)] == ["onset"]
    assert [d.phase for d in detector.set_point("siren", None, 5)] == ["offset"]
    assert detector.push(loud) == []
    assert detector.set_point("siren", point(), 10) == []
    (onset,) = detector.push(loud)
    assert onset.event.onset_s == pytest.approx(10 * HOP_S)


def test_operating_point_changes_from_the_next_frame_on_without_ending_the_event() -> None:
    detector = Detector(("siren",), {"siren": point()}, HOP_S)
    assert len(detector.push(np.full((5, 1), 0.5, np.float32))) == 0
    detector.set_point("siren", point(enter=0.4), 5)
    assert [d.phase for d in detector.push(np.full((5, 1), 0.5, np.float32))] == ["onset"]


def test_label_that_the_model_lacks_is_refused() -> None:
    with pytest.raises(KeyError):
        Detector(("siren",), {"dog": point()}, HOP_S)


POINTS = st.builds(
    lambda levels, length, bridging, cooldown: OperatingPoint(
        **dict(zip(("leave", "enter", "certain"), sorted(levels), strict=True)),
        min_length_s=length,
        bridging_s=bridging,
        cooldown_s=cooldown,
    ),
    st.tuples(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.05, 1)),
    st.floats(0, 0.5),
    st.floats(0, 0.5),
    st.floats(0, 1),
)
TRACKS = st.lists(st.floats(0, 1, width=32), min_size=1, max_size=120)


@given(TRACKS, POINTS, st.lists(st.integers(1, 17), min_size=1, max_size=60))
def test_decisions_do_not_depend_on_how_posteriors_are_cut(
    track: list[float], operating_point: OperatingPoint, cuts: list[int]
) -> None:
    posteriors = np.asarray(track, np.float32)[:, None]
    whole = Detector(("siren",), {"siren": operating_point}, HOP_S)
    expected = [*whole.push(posteriors), *whole.flush()]
    parts = Detector(("siren",), {"siren": operating_point}, HOP_S)
    found: list[Decision] = []
    begin, step = 0, 0
    while begin < len(posteriors):
        end = begin + cuts[step % len(cuts)]
        found.extend(parts.push(posteriors[begin:end]))
        begin, step = end, step + 1
    assert [*found, *parts.flush()] == expected


@given(TRACKS, POINTS)
def test_every_event_obeys_its_operating_point(track: list[float], operating_point: OperatingPoint) -> None:
    events = spans(decide(track, operating_point))
    min_frames = max(1, int(np.ceil(operating_point.min_length_s / HOP_S - 1e-6)))
    for first, end in events:
        assert track[first] >= operating_point.enter
        assert track[end - 1] >= operating_point.leave
        assert end - first >= min_frames or max(track[first:end]) > operating_point.certain
    for (_, end), (first, _) in itertools.pairwise(events):
        assert first - end >= operating_point.cooldown_s / HOP_S - 1e-6
