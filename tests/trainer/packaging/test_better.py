"""A model replaces the shipped one only if it is better on the same recordings, out of fold."""

from typing import Any

import pytest
from rich.console import Console

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.packaging.better import (
    ALARMS,
    AP,
    DELAY,
    EVENTS,
    Pair,
    compare_with_shipped,
    is_better,
    print_pairs,
)

POINT = OperatingPoint(enter=0.6, leave=0.4, min_length_s=0.4, bridging_s=1, cooldown_s=3)
PRESETS = Presets(quiet={"siren": POINT}, balanced={"siren": POINT}, sensitive={"siren": POINT})
FOLD, AMBIENCE = "ab" * 32, "cd" * 32


def report(data: str, precision: float | None = None, alarms: int | None = None) -> dict[str, Any]:
    tagging = None if precision is None else {"average_precision": precision}
    false_alarms = {} if alarms is None else {"balanced": {"count": alarms}}
    return {
        "protocol": {"data_sha256": data, "folds": ["us8k-fold2"], "sources": []},
        "labels": {"siren": {"tagging": tagging, "false_alarms": false_alarms}},
    }


def pairs(new: dict[str, Any], shipped: dict[str, Any]) -> list[Pair]:
    return compare_with_shipped(new, shipped, (), PRESETS, Console(quiet=True))


def judged(new: dict[str, Any], shipped: dict[str, Any]) -> bool:
    return is_better(pairs({"held_out": new}, {"held_out": shipped}))


@pytest.mark.parametrize(
    ("precision", "alarms", "better"),
    [
        (0.9, 3, True),
        (0.8, 2, True),
        (0.9, 2, True),
        (0.8, 3, False),
        (0.80005, 3, False),
        (0.7, 0, False),
        (0.95, 4, False),
    ],
)
def test_better_is_worse_in_nothing_and_better_in_something(precision: float, alarms: int, better: bool) -> None:
    assert judged(report(FOLD, precision, alarms), report(FOLD, 0.8, 3)) is better


def with_events(recall: float, median_s: float | None, plan: str = "12" * 32) -> dict[str, Any]:
    at_balanced = {"presets": {"balanced": {"recall": recall, "delay": {"median_s": median_s}}}}
    by_snr = [{"snr_db": 10.0, **at_balanced}, {"snr_db": 0.0, "presets": {}}]
    return report(FOLD, 0.8, 3) | {"events": {"label": "siren", "protocol": {"plan_sha256": plan}, "by_snr": by_snr}}


@pytest.mark.parametrize(
    ("recall", "median_s", "better"),
    [(0.9, 1.5, True), (0.8, 1.2, True), (0.8, 1.5, False), (0.8, 1.47, False), (0.7, 1.0, False), (0.9, 1.6, False)],
)
def test_more_events_and_sooner_ones_are_better(recall: float, median_s: float, better: bool) -> None:
    assert judged(with_events(recall, median_s), with_events(0.8, 1.5)) is better


def test_events_are_compared_in_the_same_soundscapes_only() -> None:
    found = pairs({"held_out": with_events(0.9, 1.0)}, {"held_out": with_events(0.8, None)})
    assert [pair.what for pair in found] == [AP, ALARMS, EVENTS]
    found = pairs({"held_out": with_events(0.9, 1.0)}, {"held_out": with_events(0.8, 1.5)})
    assert [pair.what for pair in found] == [AP, ALARMS, EVENTS, DELAY]
    found = pairs({"held_out": with_events(0.9, 1.0)}, {"held_out": with_events(0.8, 1.5, plan="34" * 32)})
    assert [pair.what for pair in found] == [AP, ALARMS]


def test_reports_are_paired_by_their_recordings_whatever_they_are_called() -> None:
    new = {"held_out": report(AMBIENCE, None, 1), "held_out_fold2": report(FOLD, 0.9)}
    shipped = {"held_out": report(FOLD, 0.8), "held_out_ambience": report(AMBIENCE, None, 12)}
    found = pairs(new, shipped)
    assert [(pair.what, pair.new, pair.shipped) for pair in found] == [(AP, 0.9, 0.8), (ALARMS, 1, 12)]


def test_figures_on_other_recordings_prove_nothing() -> None:
    assert pairs({"held_out": report(AMBIENCE, 0.9, 0)}, {"held_out": report(FOLD, 0.8, 9)}) == []
    assert not is_better([])
    assert pairs({"shipped": report(FOLD, 0.99, 0)}, {"held_out": report(FOLD, 0.8, 9)}) == []


def test_table_names_each_figure_and_the_outcome() -> None:
    console = Console(record=True, width=120, quiet=False, file=None)
    with console.capture() as captured:
        print_pairs(console, [Pair(AP, "siren", "us8k-fold2", 0.9, 0.8), Pair(ALARMS, "siren", "x", 5, 3)], "2026.11.0")
    text = captured.get()
    assert "0.9000" in text
    assert "worse" in text
    assert "the new model is not better" in text
