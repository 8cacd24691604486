"""Thresholds that mean the same for another model."""

import math

import numpy as np
import pytest
from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.tracks import Track, detect
from earshot_trainer.retraining.calibration import LoudWindows, beyond_chance, comparable_points, loud_windows, moved

POINT = OperatingPoint(enter=0.8, leave=0.4, min_length_s=0.2, bridging_s=0.4, cooldown_s=0.0)
PRESETS = Presets(
    quiet={"siren": POINT.model_copy(update={"enter": 0.9})},
    balanced={"siren": POINT},
    sensitive={"siren": POINT.model_copy(update={"enter": 0.6})},
)


def noise(log_odds: float, seed: int = 1) -> list[Track]:
    """Twenty minutes that hold nothing, every opinion raised by so much."""
    rng = np.random.default_rng(seed)
    tracks = []
    for number in range(20):
        smooth = np.convolve(rng.normal(0, 6, 1500), np.ones(12) / 12, mode="same") - 1.5
        posteriors = 1 / (1 + np.exp(-(smooth + log_odds)))
        tracks.append(make_track("street", list(posteriors), group=str(number), kind="long"))
    return tracks


def alarms(tracks: list[Track], point: OperatingPoint) -> int:
    return sum(len(detect(track.posteriors, "siren", point, track.hop_s)) for track in tracks)


@pytest.mark.parametrize("louder", [-1.0, 0.0, 0.7])
def test_a_louder_model_gets_higher_thresholds_by_as_much(louder: float) -> None:
    points, shift = comparable_points(noise(0), noise(louder), "siren", PRESETS)
    assert shift.measured == pytest.approx(louder, abs=0.05)
    logit = math.log(points["balanced"].enter / (1 - points["balanced"].enter))
    assert logit - math.log(0.8 / 0.2) == pytest.approx(louder, abs=0.15)


def test_what_is_louder_in_one_recording_alone_moves_nothing() -> None:
    active = np.random.default_rng(4).uniform(-2, 3, 40)
    candidate = active + np.where(np.arange(40) == 7, 0.6, 0.0)
    measured, error = LoudWindows(active, candidate, np.arange(40), 400).shift()
    assert measured == pytest.approx(0.015)
    assert beyond_chance(measured, error) == pytest.approx(0.0, abs=1e-3)


def test_of_what_most_recordings_agree_on_little_is_left_out() -> None:
    rng = np.random.default_rng(4)
    active = rng.uniform(-2, 3, 100)
    measured, error = LoudWindows(active, active + rng.normal(0.4, 0.2, 100), np.arange(100), 1000).shift()
    assert error == pytest.approx(0.02, abs=0.005)
    assert beyond_chance(measured, error) == pytest.approx(0.4, abs=0.06)
    assert beyond_chance(-measured, error) == -beyond_chance(measured, error)


def test_windows_of_one_recording_are_one_observation() -> None:
    rng = np.random.default_rng(4)
    active = rng.uniform(-2, 3, 60)
    candidate = active + np.repeat(rng.normal(0, 0.3, 6), 10)
    apart = LoudWindows(active, candidate, np.arange(60), 600).shift()[1]
    together = LoudWindows(active, candidate, np.repeat(np.arange(6), 10), 600).shift()[1]
    assert together > 2 * apart


def test_one_recording_says_nothing_of_chance() -> None:
    windows = LoudWindows(np.array([1.0, 2.0]), np.array([2.0, 3.0]), np.array([0, 0]), 2)
    assert beyond_chance(*windows.shift()) == 0


def test_loud_windows_are_chosen_by_both_opinions() -> None:
    active, candidate = noise(0), noise(0, seed=9)
    there, back = loud_windows(active, candidate), loud_windows(candidate, active)
    assert there.shift()[0] == pytest.approx(-back.shift()[0])
    assert len(there.active) == 12
    assert there.of_windows == 120


def test_no_preset_gives_more_false_alarms_than_the_active_model_and_chance() -> None:
    active, candidate = noise(0), noise(0.5, seed=2)
    points, shift = comparable_points(active, candidate, "siren", PRESETS)
    for name in ("quiet", "balanced", "sensitive"):
        allowed = alarms(active, getattr(PRESETS, name)["siren"])
        assert alarms(candidate, points[name]) <= allowed + max(1, allowed**0.5)
        assert shift.false_alarms[name] == (allowed, alarms(candidate, points[name]))


def test_alarms_of_one_preset_do_not_raise_the_thresholds_of_a_stricter_one() -> None:
    active = noise(0)
    still, blip = [0.02] * 250, [0.02] * 100 + [0.7] * 50 + [0.02] * 100
    theirs = [make_track("hall", still, group=f"hall {number}", kind="long") for number in range(60)]
    ours = [make_track("hall", blip, group=f"hall {number}", kind="long") for number in range(60)]
    points, shift = comparable_points([*active, *theirs], [*active, *ours], "siren", PRESETS)
    assert shift.applied["sensitive"] > 0
    assert shift.applied["balanced"] == shift.applied["quiet"] == 0
    assert points["balanced"].enter == pytest.approx(POINT.enter)
    allowed, found = shift.false_alarms["sensitive"]
    assert found <= allowed + allowed**0.5


@pytest.mark.parametrize(("alarming", "is_raised"), [(1, False), (2, True)])
def test_one_alarm_where_the_active_model_gives_none_is_chance_and_two_are_not(alarming: int, is_raised: bool) -> None:
    still, blip = [0.02] * 250, [0.02] * 100 + [0.99] * 50 + [0.02] * 100
    active = [make_track("hall", still, group=f"hall {number}", kind="long") for number in range(60)]
    candidate = [make_track("hall", blip if n < alarming else still, group=f"hall {n}", kind="long") for n in range(60)]
    shift = comparable_points(active, candidate, "siren", PRESETS)[1]
    assert (shift.applied["quiet"] > 1) == is_raised


def test_presets_stay_in_order() -> None:
    points, _ = comparable_points(noise(0), noise(1.2, seed=5), "siren", PRESETS)
    assert points["quiet"].enter >= points["balanced"].enter >= points["sensitive"].enter


def test_what_is_certain_stays_in_order_where_one_preset_is_raised_alone() -> None:
    certain = Presets(
        **{name: {"siren": POINT.model_copy(update={"certain": 0.95})} for name in ("quiet", "balanced", "sensitive")}
    )
    still, blip = [0.02] * 250, [0.02] * 100 + [0.97] * 50 + [0.02] * 100
    theirs = [make_track("hall", still, group=f"hall {number}", kind="long") for number in range(60)]
    ours = [make_track("hall", blip, group=f"hall {number}", kind="long") for number in range(60)]
    points, shift = comparable_points([*noise(0), *theirs], [*noise(0), *ours], "siren", certain)
    assert shift.applied["sensitive"] > 0
    assert points["quiet"].certain >= points["balanced"].certain >= points["sensitive"].certain > 0.95


def test_certainty_moves_with_the_thresholds_and_none_stays_none() -> None:
    sure = POINT.model_copy(update={"certain": 0.95})
    assert POINT.enter < moved(sure, 1.0).enter < moved(sure, 1.0).certain == pytest.approx(0.981, abs=0.001)
    assert moved(POINT, 1.0).certain == moved(POINT, -1.0).certain == 1


def test_moved_point_stays_a_point() -> None:
    for log_odds in (-20.0, 20.0):
        point = moved(POINT, log_odds)
        assert 0 < point.leave <= point.enter < 1


def test_silence_does_not_allow_any_threshold() -> None:
    points, shift = comparable_points(noise(-20), noise(-20), "siren", PRESETS)
    assert shift.false_alarms["sensitive"] == (0, 0)
    assert points["balanced"].enter > 0.65


def test_nothing_to_calibrate_on_is_told() -> None:
    with pytest.raises(OperatorError, match="comparable"):
        comparable_points([], [], "siren", PRESETS)
