"""False alarms per hour: counted by the detector, with an interval that statisticians agree with."""

import math

import pytest
from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.evaluate.false_alarms import count_false_alarms, measure_false_alarms, poisson_interval

POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.1, cooldown_s=1.0)
SILENT = [0.0] * 100


@pytest.mark.parametrize("count", [1, 2, 3, 5, 10, 40, 200])
@pytest.mark.torch
def test_interval_is_the_exact_one_of_the_chi_square_distribution(count: int) -> None:
    chi2 = pytest.importorskip("scipy.stats", reason="scipy is missing; run scripts/test without --node").chi2
    low, high = poisson_interval(count)
    assert low == pytest.approx(chi2.ppf(0.025, 2 * count) / 2)
    assert high == pytest.approx(chi2.ppf(0.975, 2 * count + 2) / 2)


def test_no_alarm_bounds_the_mean_at_three() -> None:
    assert poisson_interval(0) == (0.0, pytest.approx(-math.log(0.05)))


def test_each_alarm_says_where_to_listen() -> None:
    found = count_false_alarms([make_track("music", [*SILENT, *[0.8] * 20, *SILENT], kind="long")], "siren", POINT)
    (alarm,) = found.alarms
    assert (alarm.file, alarm.kind_of_sound) == ("music-g", "music")
    assert alarm.onset_s == pytest.approx(4.0)
    assert alarm.offset_s == pytest.approx(4.8)
    assert alarm.peak == pytest.approx(0.8)


def test_rate_is_alarms_over_hours_of_all_recordings_and_state_is_new_for_each() -> None:
    tracks = [make_track("music", [0.9] * 9000, kind="long"), make_track("rain", [0.0] * 81_000, kind="long")]
    found = count_false_alarms([*tracks, tracks[0]], "siren", POINT)
    assert found.count == 2
    assert found.hours == pytest.approx(1.1)
    assert found.per_hour == pytest.approx(2 / 1.1)
    assert found.per_hour_interval[0] == pytest.approx(poisson_interval(2)[0] / 1.1)
    assert found.by_class == {"music": (2, pytest.approx(0.2))}


def test_recordings_with_the_label_are_not_counted() -> None:
    presets = Presets(quiet={"siren": POINT}, balanced={"siren": POINT}, sensitive={"siren": POINT})
    tracks = [make_track("siren", [0.9] * 100, kind="long"), make_track("rain", SILENT, kind="long")]
    found = measure_false_alarms(tracks, "siren", presets)
    assert {name: rate.count for name, rate in found.items()} == {"quiet": 0, "balanced": 0, "sensitive": 0}
    assert found["quiet"].hours == pytest.approx(4 / 3600)
    assert measure_false_alarms(tracks[:1], "siren", presets) == {}
