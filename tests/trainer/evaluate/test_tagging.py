"""Tagging figures agree with independent implementations and with what a person counts."""

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import f1_score, precision_score, recall_score, roc_auc_score
from support.tracks import make_track as track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.evaluate.tagging import (
    Decisions,
    auc_interval,
    best_f1_threshold,
    measure_tagging,
    rank_auc,
)

pytestmark = pytest.mark.torch

POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.1, cooldown_s=1.0)
PRESETS = Presets(
    quiet={"siren": POINT.model_copy(update={"enter": 0.9})}, balanced={"siren": POINT}, sensitive={"siren": POINT}
)

truths = st.lists(st.booleans(), min_size=4, max_size=60).filter(lambda t: any(t) and not all(t))


@settings(deadline=None)
@given(truth=truths, data=st.data())
def test_rank_auc_is_the_area_that_scikit_learn_computes(truth: list[bool], data: st.DataObject) -> None:
    levels = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])
    scores = np.array(data.draw(st.lists(levels, min_size=len(truth), max_size=len(truth))))
    assert rank_auc(np.array(truth), scores) == pytest.approx(roc_auc_score(truth, scores))


@settings(deadline=None)
@given(truth=truths, data=st.data())
def test_decisions_are_the_shares_that_scikit_learn_computes(truth: list[bool], data: st.DataObject) -> None:
    decided = data.draw(st.lists(st.booleans(), min_size=len(truth), max_size=len(truth)))
    counted = Decisions.count(np.array(truth), np.array(decided))
    assert counted.precision == pytest.approx(precision_score(truth, decided, zero_division=0.0))
    assert counted.recall == pytest.approx(recall_score(truth, decided))
    assert counted.f1 == pytest.approx(f1_score(truth, decided, zero_division=0.0))


@settings(deadline=None)
@given(truth=truths, data=st.data())
def test_no_threshold_gives_a_higher_f1_than_the_best_one(truth: list[bool], data: st.DataObject) -> None:
    levels = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9])
    scores = np.array(data.draw(st.lists(levels, min_size=len(truth), max_size=len(truth))))
    best = f1_score(truth, scores >= best_f1_threshold(np.array(truth), scores))
    assert best == pytest.approx(max(f1_score(truth, scores >= threshold) for threshold in set(scores)))


def test_interval_holds_the_auc_and_widens_with_fewer_recordings() -> None:
    rng = np.random.default_rng(3)
    truth = np.arange(400) < 200
    scores = rng.normal(truth * 1.0, 1.0)
    each_its_own = auc_interval(truth, scores, [str(i) for i in range(400)])
    scores_of_ten = np.repeat(rng.normal((np.arange(40) < 20) * 1.0, 1.0), 10)
    ten_together = auc_interval(truth, scores_of_ten, [str(i // 10) for i in range(400)])
    assert each_its_own[0] < rank_auc(truth, scores) < each_its_own[1]
    assert ten_together[1] - ten_together[0] > 2 * (each_its_own[1] - each_its_own[0])


def test_interval_of_a_single_recording_says_nothing() -> None:
    assert auc_interval(np.array([True, True, False]), np.array([1.0, 0.9, 0.1]), ["a", "a", "b"]) == (0.0, 1.0)


def test_one_high_frame_gives_a_high_score_but_no_event() -> None:
    tracks = [track("siren", [0.0, 1.0, 0.0, 0.0]), track("noise", [0.0] * 4)]
    tagging = measure_tagging(tracks, "siren", PRESETS)
    assert tagging is not None
    assert tagging.auc == 1.0
    assert tagging.at_best.recall == 1.0
    assert tagging.at_presets["balanced"].recall == 0.0


def test_clip_counts_as_found_when_the_detector_reports_an_event() -> None:
    tracks = [
        track("siren", [0.95] * 20, group="loud"),
        track("siren", [0.6] * 20, group="faint"),
        track("dog", [0.6] * 20),
    ]
    tagging = measure_tagging(tracks, "siren", PRESETS)
    assert tagging is not None
    assert (tagging.at_presets["quiet"].hits, tagging.at_presets["quiet"].false_alarms) == (1, 0)
    assert (tagging.at_presets["balanced"].hits, tagging.at_presets["balanced"].false_alarms) == (2, 1)


def test_classes_are_listed_most_fooling_first_after_the_label_itself() -> None:
    tracks = [
        track("siren", [0.9] * 20),
        *(track("dog", [level] * 20) for level in (0.95, 0.1)),
        track("car_horn", [0.92] * 20),
        track("rain", [0.01] * 20),
    ]
    tagging = measure_tagging(tracks, "siren", PRESETS)
    assert tagging is not None
    assert [row.name for row in tagging.classes] == ["siren", "car_horn", "dog", "rain"]
    assert [row.above_best for row in tagging.classes] == [1, 1, 1, 0]
    assert tagging.classes[2].alarmed == {"quiet": 1, "balanced": 1, "sensitive": 1}


def test_clips_of_one_kind_only_cannot_be_ranked() -> None:
    assert measure_tagging([track("siren", [0.9] * 20)], "siren", PRESETS) is None
    assert measure_tagging([], "siren", PRESETS) is None


def test_clip_shorter_than_a_frame_scores_zero() -> None:
    assert track("siren", []).score == 0.0
