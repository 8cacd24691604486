"""What the gate says, case by case."""

import pytest

from earshot_trainer.retraining.gate import Figure, GateReport, Had, NewLabel, Outcome, judge

REAL = Had(test_clips=400, corpora=500, long_hours=0.5, own_sirens=6, own_others=6, own_sessions=4)
SITTING = REAL.model_copy(update={"same_sitting": True})
SYNTHETIC = REAL.model_copy(update={"corpora": 0})


def base(active: float, candidate: float, margin: float = 0.03) -> Figure:
    return Figure(
        part="base",
        label="siren",
        what="recall",
        active=active,
        candidate=candidate,
        more_is_better=True,
        margin=margin,
    )


def alarms(active: float, candidate: float, margin: float = 1.0) -> Figure:
    return Figure(
        part="long",
        label="siren",
        what="alarms",
        active=active,
        candidate=candidate,
        more_is_better=False,
        margin=margin,
    )


def own(active: float, candidate: float) -> Figure:
    return Figure(
        part="own", label="siren", what="right", active=active, candidate=candidate, more_is_better=True, gain=0.01,
        decides=True,
    )  # fmt: skip


CASES: list[tuple[str, list[Figure], Had, Outcome]] = [
    ("worse in nothing, better at home", [base(0.5, 0.5), alarms(2, 2), own(0.6, 0.8)], REAL, "promote"),
    ("a little worse, within the margins", [base(0.5, 0.475), alarms(2, 3), own(0.6, 0.8)], REAL, "promote"),
    ("recall on the base test set lost", [base(0.5, 0.46), alarms(2, 2), own(0.6, 0.8)], REAL, "stop"),
    ("two alarms more", [base(0.5, 0.5), alarms(2, 4), own(0.6, 0.8)], REAL, "stop"),
    ("as good at home", [base(0.5, 0.6), alarms(2, 0), own(0.8, 0.8)], REAL, "stop"),
    ("better by less than the gain", [base(0.5, 0.5), alarms(2, 2), own(0.8, 0.805)], REAL, "stop"),
    ("worse at home", [base(0.5, 0.6), alarms(2, 0), own(0.8, 0.7)], REAL, "stop"),
    ("synthesized material only", [base(0.5, 0.5), alarms(0, 0), own(0.6, 0.8)], SYNTHETIC, "shadow"),
    ("synthesized only, and worse", [base(0.5, 0.4), alarms(0, 0), own(0.6, 0.8)], SYNTHETIC, "stop"),
    ("better, of one sitting", [base(0.5, 0.5), own(0.6, 0.8)], SITTING, "shadow"),
    ("no better, of one sitting", [base(0.5, 0.5), own(0.8, 0.8)], SITTING, "shadow"),
    ("worse even so", [base(0.5, 0.5), own(0.8, 0.7)], SITTING, "stop"),
    (
        "no own siren held out",
        [base(0.5, 0.5), alarms(2, 2)],
        REAL.model_copy(update={"own_sirens": 0}),
        "shadow",
    ),
    (
        "no own background held out, and more alarms",
        [base(0.5, 0.5), alarms(2, 9)],
        REAL.model_copy(update={"own_others": 0}),
        "stop",
    ),
]


@pytest.mark.parametrize(("figures", "had", "outcome"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_verdict(figures: list[Figure], had: Had, outcome: Outcome) -> None:
    report = judge(figures, had, "2026.11.1")
    assert report.outcome == report.judged == outcome
    assert (report.reasons == ()) == (outcome == "promote")
    assert GateReport.model_validate_json(report.model_dump_json()) == report


def test_reasons_name_each_figure_that_got_worse_and_what_was_missing() -> None:
    report = judge([base(0.5, 0.4), alarms(1, 5), own(0.6, 0.9)], SYNTHETIC, "2026.11.1")
    text = "\n".join(report.reasons)
    assert "recall 0.5 -> 0.4 (worse)" in text
    assert "alarms 1 -> 5 (worse)" in text
    assert "synthesized only" in text
    assert "right" not in text


def test_force_promotes_and_is_recorded_with_what_the_gate_said() -> None:
    stopped = judge([base(0.5, 0.4), own(0.6, 0.9)], REAL, "2026.11.1")
    forced = stopped.with_force()
    assert (forced.outcome, forced.judged, forced.forced) == ("promote", "stop", True)
    assert forced.reasons == stopped.reasons


def test_force_leaves_no_mark_where_the_gate_was_content() -> None:
    passed = judge([base(0.5, 0.5), own(0.6, 0.9)], REAL, "2026.11.1")
    assert passed.with_force() == passed


def test_fewer_alarms_are_better_and_equal_ones_as_good() -> None:
    assert [alarms(3, candidate).verdict for candidate in (1, 3, 4, 5)] == ["better", "as good", "as good", "worse"]


def new(**changes: object) -> NewLabel:
    values = {
        "label": "doorbell", "held_out": 8, "sessions": 2, "found": 7, "found_under_conditions": 0.8, "own_others": 20,
        "own_alarmed": 1, "clips": 200, "clips_alarmed": 4, "long_hours": 0.5, "false_alarms": 1, "least_recall": 0.7,
        "most_own_alarmed": 2, "most_clips_alarmed": 10, "most_false_alarms": 1,
    }  # fmt: skip
    return NewLabel.model_validate(values | changes)


def test_new_label_that_is_found_is_a_gain_where_nothing_got_worse() -> None:
    as_good = [base(0.5, 0.5), alarms(2, 2), own(0.8, 0.8)]
    assert judge(as_good, REAL, "2026.11.1").outcome == "stop"
    report = judge(as_good, REAL, "2026.11.1", [new()])
    assert (report.outcome, report.reasons) == ("promote", ())
    assert GateReport.model_validate_json(report.model_dump_json()) == report


def test_new_label_does_not_excuse_a_label_that_got_worse() -> None:
    report = judge([base(0.5, 0.4), own(0.6, 0.8)], REAL, "2026.11.1", [new()])
    assert report.outcome == "stop"
    assert [reason.split(":")[0] for reason in report.reasons] == ["worse"]


def test_new_label_needs_no_own_sirens_but_real_sounds_to_be_promoted() -> None:
    without = REAL.model_copy(update={"own_sirens": 0})
    assert judge([base(0.5, 0.5)], without, "2026.11.1", [new()]).outcome == "promote"
    assert judge([base(0.5, 0.5)], SYNTHETIC, "2026.11.1", [new()]).outcome == "shadow"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"found": 5}, "5 of 8 found, at least 70% wanted"),
        ({"held_out": 0, "found": 0}, "0 of 0 found, at least 70% wanted"),
        ({"own_alarmed": 3}, "3 of 20 own others taken for it, at most 2 wanted"),
        ({"clips_alarmed": 11}, "11 of 200 clips taken for it, at most 10 wanted"),
        ({"false_alarms": 2}, "2 false alarms in 0.50 h, at most 1 wanted"),
    ],
)
def test_new_label_below_its_minimum_stops_with_what_it_lacks(change: dict[str, int], reason: str) -> None:
    report = judge([base(0.5, 0.5), own(0.6, 0.8)], REAL, "2026.11.1", [new(**change)])
    assert report.outcome == "stop"
    assert report.reasons == (f"doorbell is not good enough to be taken: {reason}",)
