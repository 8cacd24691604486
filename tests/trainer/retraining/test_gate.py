"""What the gate says, case by case."""

import pytest

from earshot_trainer.retraining.gate import Figure, GateReport, Had, Outcome, judge

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
