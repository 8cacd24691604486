"""Event figures: counted as independent implementations count them, and as a person would by hand."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")
pytest.importorskip("sed_scores_eval", reason="sed-scores-eval is missing; run scripts/test without --node")
pytest.importorskip("sed_eval", reason="sed-eval is missing; run scripts/test without --node")

import sed_eval
from rich.console import Console
from support.recordings import write_corpus
from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.evaluate.event_matching import Span, count_matches, event_based, segment_based, segments_of
from earshot_trainer.evaluate.event_material import Piece
from earshot_trainer.evaluate.event_outcomes import detect_with_decision, outcomes_at
from earshot_trainer.evaluate.events import EventFigures, delay_of, measure_at_point, measure_events, recall_interval
from earshot_trainer.evaluate.events_console import print_events
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.psds import PSDS1, PSDS2, measure_psds, score_tables
from earshot_trainer.evaluate.soundscape_plan import PlannedEvent, SoundscapePlan, SoundscapeRules, Soundscapes
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape, hear_soundscapes

pytestmark = pytest.mark.torch

HOP_S = 0.04
RATE_HZ = 16_000
POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.2, cooldown_s=1.0)
RULES = SoundscapeRules(
    length_s=(11.0, 15.0), lead_s=2.0, tail_s=2.0, event_s=(3.0, 5.0), events_per_group=2, long_events=True
)
TOLERANT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.2, cooldown_s=0)
STEP = OperatingPoint(enter=0.5, leave=0.5, min_length_s=0, bridging_s=0, cooldown_s=0)


def make_heard(
    truth: Sequence[Span], posteriors: Sequence[float] | np.ndarray, *, layout: int = 0, groups: Sequence[str] = "ab"
) -> HeardSoundscape:
    """A soundscape with events at `truth` and these posteriors; its audio is never read."""
    values = np.asarray(posteriors, np.float32)
    recording = make_track("rain", [0.0], kind="long").recording
    events = tuple(
        PlannedEvent(group, (), round(onset_s * RATE_HZ), round(offset_s * RATE_HZ))
        for group, (onset_s, offset_s) in zip(groups, truth, strict=False)
    )
    background = Piece(recording, 0, round(len(values) * HOP_S * RATE_HZ))
    return HeardSoundscape(SoundscapePlan("all", layout, "siren", background, events, 10.0, -30.0, 0, 0), values, HOP_S)


def make_posteriors(duration_s: float, loud: Sequence[Span], low: float = 0.0) -> np.ndarray:
    posteriors = np.full(round(duration_s / HOP_S), low)
    for onset_s, offset_s in loud:
        posteriors[round(onset_s / HOP_S) : round(offset_s / HOP_S)] = 0.9
    return posteriors


def random_spans(rng: np.random.Generator, most: int, duration_s: float = 60.0) -> list[Span]:
    """Up to `most` events in order that do not overlap, on a grid of 0.04 s."""
    edges = np.sort(
        rng.choice(np.arange(1, int(duration_s / HOP_S)), size=2 * rng.integers(0, most + 1), replace=False)
    )
    return [(float(a) * HOP_S, float(b) * HOP_S) for a, b in edges.reshape(-1, 2)]


def shaken(rng: np.random.Generator, spans: Sequence[Span]) -> list[Span]:
    """The same events a little off, some missing, some new."""
    moved = [(max(0.0, a + rng.normal(0, 0.8)), b + rng.normal(0, 1.5)) for a, b in spans if rng.random() < 0.8]
    return [(a, b) for a, b in [*moved, *random_spans(rng, 2)] if b > a]


def listed(spans: Sequence[Span]) -> list[dict[str, object]]:
    return [{"event_label": "siren", "event_onset": a, "event_offset": b, "file": "x"} for a, b in spans]


@pytest.mark.parametrize("seed", range(5))
def test_event_based_counts_are_those_of_sed_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = sed_eval.sound_event.EventBasedMetrics(["siren"], t_collar=1.0, percentage_of_length=0.5)
    pairs = []
    for _ in range(20):
        reference = random_spans(rng, 5)
        estimated = shaken(rng, reference)
        pairs.append((reference, estimated))
        if reference or estimated:
            metric.evaluate(listed(reference), listed(estimated))
    found, theirs = event_based(pairs, 1.0, 0.5), metric.results_overall_metrics()["f_measure"]
    assert found.hits == metric.overall["Ntp"] > 0
    assert (found.misses, found.false_alarms) == (metric.overall["Nfn"], metric.overall["Nfp"])
    assert found.f1 == pytest.approx(theirs["f_measure"])
    assert found.precision == pytest.approx(theirs["precision"])
    assert found.recall == pytest.approx(theirs["recall"])


@pytest.mark.parametrize("seed", range(5))
def test_segment_based_counts_are_those_of_sed_eval(seed: int) -> None:
    rng = np.random.default_rng(seed)
    metric = sed_eval.sound_event.SegmentBasedMetrics(["siren"], time_resolution=1.0)
    recordings = []
    for _ in range(20):
        reference = random_spans(rng, 5)
        estimated = [(a, min(b, 60.0)) for a, b in shaken(rng, reference) if a < 60.0]
        recordings.append((reference, estimated, 60.0))
        metric.evaluate(listed(reference), listed(estimated), evaluated_length_seconds=60.0)
    found = segment_based(recordings, 1.0)
    assert (found.hits, found.misses, found.false_alarms) == (
        metric.overall["Ntp"],
        metric.overall["Nfn"],
        metric.overall["Nfp"],
    )
    assert found.hits > 0
    assert found.f1 == pytest.approx(metric.results_overall_metrics()["f_measure"]["f_measure"])


@pytest.mark.parametrize("seed", range(3))
def test_event_f1_of_the_detector_is_the_one_that_sed_scores_eval_finds_in_the_scores(seed: int) -> None:
    from sed_scores_eval.collar_based import fscore

    rng = np.random.default_rng(seed)
    heard = []
    for layout in range(10):
        truth = random_spans(rng, 2)
        loud = [(round(a / HOP_S) * HOP_S, round(b / HOP_S) * HOP_S) for a, b in shaken(rng, truth) if b < 59]
        noise = rng.uniform(0, 0.4, 1500)
        heard.append(make_heard(truth, np.maximum(make_posteriors(60, loud), noise), layout=layout))
    truths = {one.plan.name: [(*span, "siren") for span in one.plan.truth] for one in heard}
    theirs = fscore(
        {name: table.astype({"siren": np.float32}) for name, table in score_tables(heard).items()},
        truths,
        threshold=0.5,
        onset_collar=1.0,
        offset_collar=1.0,
        offset_collar_rate=0.5,
    )
    f1, precision, recall, _ = (value["siren"] for value in theirs)
    found = measure_at_point(heard, STEP).event_based
    assert found.hits > 0
    assert (found.f1, found.precision, found.recall) == pytest.approx((f1, precision, recall))


def test_psds_is_the_area_found_by_trying_every_threshold() -> None:
    """One label: the mean over false rates 0 to 100 per hour of the best true positive rate within that rate."""
    rng = np.random.default_rng(4)
    levels = np.linspace(0.05, 0.95, 10)
    heard = []
    for layout in range(12):
        truth = [(5.0, 9.0), (20.0, 27.0)]
        loud = rng.choice(levels, 100).repeat(10) * 0.8
        for onset_s, offset_s in truth:
            halves = np.minimum(rng.choice(levels, 2) + 0.3, 0.95).repeat(round((offset_s - onset_s) / HOP_S / 2))
            loud[round(onset_s / HOP_S) :][: len(halves)] = halves
        heard.append(make_heard(truth, loud, layout=layout))
    found = measure_psds(heard)
    assert found["psds1"].unfiltered == pytest.approx(psds_by_hand(heard, 0.7, 0.7), abs=1e-6)
    assert found["psds2"].unfiltered == pytest.approx(psds_by_hand(heard, 0.5, 0.1), abs=1e-6)
    assert 0 < found["psds1"].unfiltered < found["psds2"].unfiltered < 1
    assert (found["psds1"].settings, found["psds2"].settings) == (PSDS1, PSDS2)


def test_detector_that_is_always_on_has_no_psds_and_hears_nothing() -> None:
    heard = [make_heard([(5.0, 14.0), (25.0, 34.0)], np.full(1000, 0.9), layout=i) for i in range(3)]
    assert {name: psds.value for name, psds in measure_psds(heard).items()} == {"psds1": 0.0, "psds2": 0.0}
    assert measure_at_point(heard, POINT).recall == 0.0


def psds_by_hand(heard: Sequence[HeardSoundscape], dtc: float, gtc: float) -> float:
    hours = sum(one.plan.duration_s for one in heard) / 3600
    points = []
    for threshold in np.unique(np.concatenate([one.posteriors for one in heard])):
        true = false = events = 0
        for one in heard:
            on = np.concatenate(([False], one.posteriors >= threshold, [False])).astype(int)
            edges = zip(
                np.flatnonzero(np.diff(on) == 1) * HOP_S, np.flatnonzero(np.diff(on) == -1) * HOP_S, strict=True
            )
            overlaps = [((a, b), [max(0.0, min(b, d) - max(a, c)) for c, d in one.plan.truth]) for a, b in edges]
            valid = [cover for (a, b), cover in overlaps if sum(cover) >= dtc * (b - a) - 1e-6]
            false += len(overlaps) - len(valid)
            covered = np.sum(valid, axis=0) if valid else np.zeros(len(one.plan.truth))
            true += sum(c >= gtc * (d - a) - 1e-6 for c, (a, d) in zip(covered, one.plan.truth, strict=True))
            events += len(one.plan.truth)
        points.append((false / hours, true / events))
    rates = sorted({rate for rate, _ in points if rate <= 100} | {100.0})
    area = 0.0
    for low, high in zip([0.0, *rates], rates, strict=False):
        area += (high - low) * max((share for rate, share in points if rate <= low), default=0.0)
    return area / 100


def test_perfect_posteriors_give_perfect_figures() -> None:
    truth = [(5.0, 10.0), (20.0, 26.0)]
    heard = [make_heard(truth, make_posteriors(40, truth), layout=i) for i in range(3)]
    found = measure_at_point(heard, POINT)
    assert (found.events, found.heard, found.extra, found.repeats) == (6, 6, 0, 0)
    assert (found.recall, found.event_based.f1, found.segment_based.f1) == (1.0, 1.0, 1.0)
    assert found.delay.median_s == pytest.approx(0.2)
    assert found.hours == pytest.approx(3 * 40 / 3600)
    assert found.extra_interval == pytest.approx((0.0, 2.9957 / found.hours), rel=1e-3)
    assert {name: psds.unfiltered for name, psds in measure_psds(heard).items()} == {"psds1": 1.0, "psds2": 1.0}


def test_delay_runs_from_the_true_onset_until_the_detector_tells() -> None:
    (event,) = outcomes_at([make_heard([(5.0, 10.0)], make_posteriors(20, [(6.0, 9.0)]))], POINT).events
    assert (event.outcome, event.delay_s) == ("heard", pytest.approx(1.2))
    assert event.peak == pytest.approx(0.9)


def test_posterior_that_ends_before_the_minimum_length_is_a_miss() -> None:
    outcomes = outcomes_at([make_heard([(5.0, 10.0)], make_posteriors(20, [(6.0, 6.16)]))], POINT)
    assert [(event.outcome, event.delay_s) for event in outcomes.events] == [("missed", None)]
    assert outcomes.extra == []


def test_detection_beside_the_event_is_extra_and_one_within_again_a_repeat() -> None:
    loud = [(2.0, 3.0), (6.0, 7.0), (8.5, 9.0), (14.0, 16.0)]
    found = measure_at_point([make_heard([(5.0, 10.0)], make_posteriors(36, loud))], POINT)
    assert (found.heard, found.repeats, found.extra) == (1, 1, 2)
    assert found.extra_per_hour == pytest.approx(200)
    assert [(extra.onset_s, extra.offset_s) for extra in found.extra_detections] == [(2.0, 3.0), (14.0, 16.0)]
    assert found.extra_detections[0].background == "rain-g"


def test_event_that_begins_while_a_false_one_lasts_is_not_heard() -> None:
    found = measure_at_point([make_heard([(5.0, 10.0)], make_posteriors(20, [(1.0, 20.0)]))], POINT)
    assert (found.heard, found.already_on, found.recall, found.delay.median_s) == (0, 1, 0.0, None)
    assert [extra.onset_s for extra in found.extra_detections] == [1.0]


def test_detection_right_after_the_event_is_the_events() -> None:
    found = measure_at_point([make_heard([(5.0, 10.0)], make_posteriors(20, [(6.0, 8.0), (10.6, 11.2)]))], TOLERANT)
    assert (found.heard, found.repeats, found.extra) == (1, 1, 0)
    late = outcomes_at([make_heard([(5.0, 10.0)], make_posteriors(20, [(10.8, 11.4)]))], TOLERANT)
    assert (late.events[0].outcome, late.events[0].delay_s) == ("heard", pytest.approx(6.0))
    later = measure_at_point([make_heard([(5.0, 10.0)], make_posteriors(20, [(11.2, 12.0)]))], TOLERANT)
    assert (later.heard, later.extra) == (0, 1)


def test_event_is_heard_when_a_false_detection_ends_in_it_and_a_new_one_follows() -> None:
    found = measure_at_point([make_heard([(5.0, 10.0)], make_posteriors(20, [(4.0, 5.4), (7.0, 9.0)]))], POINT)
    assert (found.heard, found.already_on, found.extra, found.repeats) == (1, 0, 1, 0)
    assert found.delay.median_s == pytest.approx(2.2)


def test_second_event_during_one_detection_is_no_false_one() -> None:
    found = measure_at_point([make_heard([(5.0, 10.0), (18.0, 24.0)], make_posteriors(30, [(5.0, 24.0)]))], POINT)
    assert (found.heard, found.already_on, found.extra) == (1, 1, 0)


def test_decision_time_of_each_onset_is_kept() -> None:
    detections = detect_with_decision(make_posteriors(20, [(1.0, 2.0), (5.0, 9.0)]), "siren", POINT, HOP_S)
    assert [(d.onset_s, d.offset_s, d.decided_s) for d in detections] == [
        (pytest.approx(1.0), pytest.approx(2.0), pytest.approx(1.2)),
        (pytest.approx(5.0), pytest.approx(9.0), pytest.approx(5.2)),
    ]


def test_matching_is_the_largest_one_not_the_first_found() -> None:
    assert count_matches([(1.0, 5.0), (1.8, 5.0)], [(1.9, 5.0), (0.5, 5.0)], 1.0, 0.5) == 2
    assert count_matches([(1.0, 5.0)], [(1.1, 5.0), (0.9, 5.0)], 1.0, 0.5) == 1
    assert count_matches([(1.0, 5.0)], [(2.1, 5.0)], 1.0, 0.5) == 0
    assert count_matches([(1.0, 9.0)], [(1.0, 5.0)], 1.0, 0.5) == 1


def test_segment_is_active_where_any_part_of_an_event_lies() -> None:
    assert segments_of([(0.9, 1.1), (3.0, 4.0)], 4.5, 1.0).tolist() == [True, True, False, True, False]


def test_delays_count_the_unheard_last() -> None:
    delay = delay_of([0.5] * 19 + [None])
    assert (delay.median_s, delay.p95_s, delay.p95_of_all_s) == (0.5, 0.5, None)
    assert (delay.within_1_s, delay.within_3_s) == (0.95, 0.95)
    assert delay_of([0.5] * 98 + [2.0, None]).p95_of_all_s == 0.5
    assert delay_of([None]).p95_s is None


def test_recall_interval_is_over_groups() -> None:
    assert recall_interval([(5, 5)]) == (0.0, 1.0)
    assert recall_interval([(5, 5)] * 9) == (1.0, 1.0)
    low, high = recall_interval([(6, 6), (0, 6)] * 5)
    assert 0.1 < low < 0.3
    assert 0.7 < high < 0.9


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> EventFigures:
    recordings = load_manifest(write_corpus(tmp_path_factory.mktemp("corpus")))
    found = measure_events(load_subject(None), {"all": recordings}, 1, rules=RULES)
    assert found is not None
    return found


def test_bundle_hears_synthesized_sirens_in_noise(figures: EventFigures) -> None:
    assert [at_snr.snr_db for at_snr in figures.by_snr] == [10.0, 0.0]
    loud = figures.by_snr[0].presets["sensitive"]
    assert loud.events == 6
    assert set(loud.by_group) == {"1", "3", "amrrashed/long_siren.flac"}
    assert loud.recall >= 0.5


def test_two_processes_hear_what_one_does(figures: EventFigures) -> None:
    first = figures.heard[:4]
    soundscapes = Soundscapes(tuple(one.plan for one in first), "siren", 1, RULES, {})
    counted: list[tuple[int, int]] = []
    again = hear_soundscapes(load_subject(None), soundscapes, 2, lambda *progress: counted.append(progress))
    assert [one.plan for one in again] == [one.plan for one in first]
    assert all(np.array_equal(a.posteriors, b.posteriors) for a, b in zip(again, first, strict=True))
    assert counted == [(2, 4), (4, 4)]


def test_report_names_seed_data_and_definitions(figures: EventFigures) -> None:
    report = json.loads(json.dumps(figures.to_dict()))
    assert report["protocol"]["seed"] == 1
    assert len(report["protocol"]["plan_sha256"]) == len(report["protocol"]["data_sha256"]) == 64
    assert "collar" not in report
    assert "within 1 s" in report["protocol"]["definitions"]["event_based"]
    assert "heard" not in report
    assert len(report["by_snr"][0]["presets"]["balanced"]["outcomes"]) == 6


def test_console_shows_models_side_by_side(figures: EventFigures) -> None:
    console = Console(width=200, record=True)
    print_events(console, {"mine": figures, "theirs": figures})
    text = console.export_text()
    assert text.count("│ mine ") == text.count("│ theirs ") == 6
    assert "seed 1" in text
    assert "mine, +10 dB: PSDS1" in text


def test_material_without_events_gives_no_figures(tmp_path: Path) -> None:
    negatives = [r for r in load_manifest(write_corpus(tmp_path)) if not r.is_siren]
    assert measure_events(load_subject(None), {"all": negatives}, 1) is None
