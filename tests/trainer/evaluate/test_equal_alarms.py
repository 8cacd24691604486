"""At equal false alarms no subject wins by a bolder threshold."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.evaluate.equal_alarms import (
    MOST_PER_HOUR,
    Contender,
    clip_recall,
    compare_at_equal_alarms,
    measure_at,
    sweep,
)
from earshot_trainer.evaluate.rivalry import Contestant, compare_with_rival
from earshot_trainer.evaluate.tracks import Scored, Track, detect

pytestmark = pytest.mark.torch
POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.4, cooldown_s=1.0)


def bump(label: str, peak: float, *, kind: str = "clip", group: str = "g", quiet_frames: int = 200) -> Track:
    return make_track(label, [*[0.0] * quiet_frames, *[peak] * 20, *[0.0] * 50], kind=kind, group=group)


def contender(title: str, sirens: list[float], others: list[float], point: OperatingPoint = POINT) -> Contender:
    """Sirens as clips; what is no siren lies in an hour of silence each."""
    clips = [bump("siren", peak, group=str(number)) for number, peak in enumerate(sirens)]
    long = [bump("music", peak, kind="long", quiet_frames=90_000) for peak in others]
    return Contender(title, point, long, clip_recall(clips, "siren"))


def test_threshold_moves_until_the_alarms_are_the_rivals() -> None:
    mine = contender("mine", [0.95, 0.9, 0.7, 0.6], [0.8, 0.65, 0.1])
    rival = contender("rival", [0.9, 0.4, 0.4, 0.4], [0.6, 0.2, 0.2])
    found = compare_at_equal_alarms(mine, rival, label="siren", what="clips", preset="balanced")
    assert (found.rival.false_alarms, found.rival.recall) == (1, 0.25)
    assert found.mine is not None
    assert (found.mine.false_alarms, found.mine.recall) == (1, 0.75)
    assert 0.65 < found.mine.enter <= 0.7
    assert found.hours == pytest.approx(3, abs=0.02)


def test_bold_model_gains_nothing_by_its_alarms() -> None:
    everything = contender("bold", [0.99, 0.99], [0.999, 0.999])
    rival = contender("rival", [0.9, 0.2], [0.1, 0.1])
    found = compare_at_equal_alarms(everything, rival, label="siren", what="clips", preset="balanced")
    assert found.rival.recall == 0.5
    assert found.mine is not None
    assert found.mine.recall == 0.0


def test_model_that_is_never_silent_has_no_threshold() -> None:
    loud = contender("loud", [1.0], [1.0])
    found = compare_at_equal_alarms(
        loud, contender("rival", [0.9], [0.0]), label="siren", what="clips", preset="balanced"
    )
    assert found.mine is None


def test_curve_goes_from_strict_to_bold_and_ends_where_alarms_are_too_many() -> None:
    curve = sweep(contender("mine", [0.9, 0.5], [0.4] * 2), "siren")
    enters = [point.enter for point in curve]
    assert enters == sorted(enters, reverse=True)
    alarms = [point.false_alarms for point in curve]
    assert alarms == sorted(alarms)
    assert curve[-1].recall == 1.0
    short = Contender("short", POINT, [bump("music", 0.4, kind="long")], lambda _: 0.0)
    assert sweep(short, "siren")[-1].per_hour > MOST_PER_HOUR
    assert len(sweep(short, "siren")) < len(curve)


def test_leave_goes_down_with_enter_and_certainty_up() -> None:
    seen: list[OperatingPoint] = []

    def recall_at(point: OperatingPoint) -> float:
        seen.append(point)
        return 0.0

    point = POINT.model_copy(update={"certain": 0.9})
    sweep(Contender("mine", point, [bump("music", 0.0, kind="long")], recall_at), "siren")
    assert all(point.leave == min(0.3, point.enter) for point in seen)
    assert all(point.certain == max(0.9, point.enter) for point in seen)
    assert min(point.enter for point in seen) < 0.01


def test_subjects_are_compared_where_both_have_something_to_show() -> None:
    presets = Presets(quiet={"siren": POINT}, balanced={"siren": POINT}, sensitive={"siren": POINT})
    tracks = [bump("siren", 0.9), bump("music", 0.2, kind="long", quiet_frames=9000)]
    one = Contestant("one", presets, Scored({"siren": tracks}, []), None)
    found = compare_with_rival(one, one)
    assert [(f.what, f.preset) for f in found] == [("clips", "balanced"), ("clips", "quiet")]
    assert all(f.mine is not None and f.mine.recall == f.rival.recall == 1.0 for f in found)
    without = Contestant("clips only", presets, Scored({"siren": tracks[:1]}, []), None)
    assert compare_with_rival(without, without) == []
    assert np.isclose(found[0].hours, 9070 * 0.04 / 3600, atol=1e-3)


def test_stretches_that_are_left_out_change_no_count() -> None:
    rng = np.random.default_rng(5)
    level = np.repeat(rng.choice([0.0, 0.2, 0.35, 0.7, 0.95], 300), rng.integers(1, 60, 300))
    track = make_track("music", level.tolist(), kind="long")
    for enter in (0.3, 0.5, 0.9):
        point = POINT.model_copy(update={"enter": enter})
        counted = measure_at(Contender("mine", point, [track], lambda _: 0.0), point, "siren")
        assert counted.false_alarms == len(detect(track.posteriors, "siren", point, track.hop_s))
    assert counted.false_alarms > 5
