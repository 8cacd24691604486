"""Operating points keep to their budgets, move in one direction and come out the same every time."""

import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.tracks import HOP_S, make_track

from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate import operating_points
from earshot_trainer.evaluate.event_counts import JoinedTracks, find_events
from earshot_trainer.evaluate.operating_points import Evidence, allowed_alarms, choose_operating_points
from earshot_trainer.evaluate.tracks import Track, detect


def noisy(label: str, peaks: list[float], *, kind: str = "long", group: str = "g") -> Track:
    """Ten seconds of low posteriors around a two-second bump for every peak."""
    rng = np.random.default_rng(len(peaks))
    frames: list[float] = []
    for peak in peaks:
        frames += [*rng.uniform(0, 0.03, 200).tolist(), *[peak] * 50, *rng.uniform(0, 0.03, 200).tolist()]
    return make_track(label, frames, kind=kind, group=group)


@pytest.fixture
def evidence() -> Evidence:
    sirens = [noisy("siren", [peak], kind="clip", group=str(peak)) for peak in (0.97, 0.9, 0.75, 0.45)]
    clips = [noisy("dog", [peak], kind="clip") for peak in (0.2, 0.05)]
    return Evidence.of([*sirens, *clips, noisy("music", [0.82, 0.5, 0.1] + [0.05] * 4)], "siren")


def test_each_preset_keeps_to_its_budget_and_finds_what_it_can(evidence: Evidence) -> None:
    presets, choices = choose_operating_points({"siren": evidence})
    found = choices["siren"]
    assert (found["quiet"].false_alarms, found["quiet"].recall) == (0, 0.5)
    assert (found["balanced"].false_alarms, found["balanced"].recall) == (1, 0.75)
    assert found["sensitive"].false_alarms <= found["sensitive"].allowed == 1
    assert all(choice.budget_met for choice in found.values())
    assert 0.82 < presets.quiet["siren"].enter <= 0.9


def test_presets_get_stricter_towards_quiet(evidence: Evidence) -> None:
    presets, _ = choose_operating_points({"siren": evidence})
    for strict, loose in itertools.pairwise(
        (presets.quiet["siren"], presets.balanced["siren"], presets.sensitive["siren"])
    ):
        assert strict.enter >= loose.enter
        assert strict.leave >= loose.leave
        assert strict.certain >= loose.certain
        assert strict.min_length_s >= loose.min_length_s
        assert strict.cooldown_s >= loose.cooldown_s


@pytest.mark.parametrize(("lost", "enter"), [(0.02, 0.8), (0.2, 0.9)])
def test_balanced_gives_way_a_little_where_another_preset_would_exceed_its_budget(
    evidence: Evidence, monkeypatch: pytest.MonkeyPatch, lost: float, enter: float
) -> None:
    def candidate(enter: float, length_s: float, value: float, alarms: int) -> operating_points._Candidate:
        point = OperatingPoint(enter=enter, leave=0.5, min_length_s=length_s, bridging_s=1.0, cooldown_s=0.0)
        return operating_points._Candidate(point, value, 0.6 if enter > 0.7 else 0.9, alarms)

    grid = [
        candidate(0.99, 0.6, 0.5, 0),
        candidate(0.9, 0.2, 0.6, 1),  # the best within the budget, but the laxer ones that hear enough alarm too often
        candidate(0.5, 0.2, 0.9, 9),
        candidate(0.8, 0.6, 0.6 - lost, 1),
        candidate(0.6, 0.6, 0.8, 2),
    ]
    monkeypatch.setattr(operating_points, "_candidates", lambda _evidence, _allowed: grid)
    monkeypatch.setattr(operating_points, "RECALL_FLOOR", {"quiet": 0.2, "balanced": 0.5, "sensitive": 0.8})
    monkeypatch.setattr(operating_points, "allowed_alarms", lambda per_hour, _: int(per_hour))
    presets, _ = choose_operating_points({"siren": evidence}, {"quiet": 0, "balanced": 1, "sensitive": 2})
    assert presets.balanced["siren"].enter == enter


def test_same_evidence_gives_the_same_presets(evidence: Evidence) -> None:
    assert choose_operating_points({"siren": evidence}) == choose_operating_points({"siren": evidence})


def test_figures_of_a_choice_are_those_of_the_detector_on_whole_tracks(evidence: Evidence) -> None:
    _, choices = choose_operating_points({"siren": evidence})
    for choice in choices["siren"].values():
        whole = [detect(t.posteriors, "siren", choice.point, HOP_S) for t in evidence.long_negatives]
        assert sum(len(events) for events in whole) == choice.false_alarms


def test_budget_that_leaves_too_little_recall_is_exceeded_by_as_little_as_helps() -> None:
    sirens = [noisy("siren", [peak], kind="clip", group=str(peak)) for peak in (0.7, 0.72, 0.75)]
    tracks = [*sirens, noisy("music", [1.0, 0.95, 0.3, 0.3])]
    _, choices = choose_operating_points({"siren": Evidence.of(tracks, "siren")})
    quiet = choices["siren"]["quiet"]
    assert (quiet.recall, quiet.false_alarms, quiet.allowed) == (1.0, 2, 0)
    assert not quiet.budget_met


@pytest.mark.parametrize(("per_hour", "hours", "allowed"), [(0, 50, 0), (0.2, 1.3, 1), (2, 1.3, 2), (0.2, 50, 10)])
def test_budget_above_none_allows_at_least_one_alarm(per_hour: float, hours: float, allowed: int) -> None:
    assert allowed_alarms(per_hour, hours) == allowed


def test_evidence_without_sirens_or_long_negatives_is_refused() -> None:
    siren, music = noisy("siren", [0.9], kind="clip"), noisy("music", [0.1])
    with pytest.raises(OperatorError, match="no recordings with siren"):
        Evidence.of([music], "siren")
    with pytest.raises(OperatorError, match="no long recordings without siren"):
        Evidence.of([siren], "siren")


@settings(deadline=None)
@given(
    rows=st.lists(
        st.lists(st.tuples(st.sampled_from([0.0, 0.2, 0.3, 0.5, 0.7, 0.95, 1.0]), st.integers(1, 12)), max_size=14),
        min_size=1,
        max_size=4,
    ),
    bridging_frames=st.integers(0, 6),
    least_frames=st.integers(1, 15),
)
def test_counted_events_are_those_of_the_detector(
    rows: list[list[tuple[float, int]]], bridging_frames: int, least_frames: int
) -> None:
    tracks = [make_track("music", [level for level, frames in row for _ in range(frames)]) for row in rows]
    leave, enters, certains = 0.3, (0.3, 0.5, 0.7, 0.9), (0.7, 0.9, 1.0)
    joined = JoinedTracks.of([track.posteriors for track in tracks], apart_frames=8).above(leave)
    found = find_events(joined, leave, bridging_frames, enters, certains)
    counts = found.reported_by_track([least_frames, 3], len(tracks))[:, 0]
    for column, enter in enumerate(enters):
        for sure, certain in [one for one in enumerate(certains) if one[1] >= enter]:
            point = OperatingPoint(
                enter=enter,
                leave=leave,
                certain=certain,
                min_length_s=least_frames * HOP_S,
                bridging_s=bridging_frames * HOP_S,
                cooldown_s=0.0,
            )
            expected = [len(detect(track.posteriors, "siren", point, HOP_S)) for track in tracks]
            assert counts[:, column, sure].tolist() == expected
            assert found.reported([least_frames])[:, 0, column, sure].sum() == sum(expected)


def test_what_is_certain_lies_clear_of_whatever_a_long_recording_without_the_label_reached() -> None:
    """Sure sirens are shorter here than every minimum length, and what is no siren lasts."""
    short = [make_track("siren", [0.01] * 50 + [0.99] * 2 + [0.01] * 50, group=str(number)) for number in range(3)]
    music = make_track("music", [0.01] * 300 + [0.9] * 99 + [0.01] * 300, kind="long")
    presets, choices = choose_operating_points({"siren": Evidence.of([*short, music], "siren")})
    certain = presets.quiet["siren"].certain
    assert math.log(certain / (1 - certain)) > math.log(0.9 / 0.1) + operating_points.CERTAIN_MARGIN
    assert (choices["siren"]["quiet"].recall, choices["siren"]["quiet"].false_alarms) == (1, 0)


def test_a_cooldown_never_adds_an_event() -> None:
    rng = np.random.default_rng(4)
    level = np.repeat(rng.choice([0.0, 0.3, 0.6, 0.95], 400), rng.integers(1, 40, 400))
    track = make_track("music", level.tolist(), kind="long")
    for cooldown_s in (0.5, 2.0, 5.0):
        point = OperatingPoint(enter=0.6, leave=0.3, min_length_s=0.4, bridging_s=0.4, cooldown_s=0.0)
        held = point.model_copy(update={"cooldown_s": cooldown_s})
        assert len(detect(track.posteriors, "siren", held, HOP_S)) <= len(
            detect(track.posteriors, "siren", point, HOP_S)
        )


def test_many_hours_are_searched_in_seconds() -> None:
    rng = np.random.default_rng(8)
    hours = [make_track("music", np.repeat(rng.beta(0.3, 3, 9000), 10).tolist(), kind="long") for _ in range(6)]
    sirens = [noisy("siren", [peak], kind="clip", group=str(peak)) for peak in (0.97, 0.9, 0.75, 0.45)]
    begin_s = time.process_time()
    choose_operating_points({"siren": Evidence.of([*sirens, *hours], "siren")})
    assert time.process_time() - begin_s < 30
