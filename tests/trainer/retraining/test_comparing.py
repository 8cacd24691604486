"""Figures of two models on the same tracks."""

from dataclasses import dataclass
from typing import cast

from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Track
from earshot_trainer.retraining.comparing import Heard, figures_of, had
from earshot_trainer.retraining.gate import Figure
from earshot_trainer.retraining.settings import GateSettings

POINT = OperatingPoint(enter=0.5, leave=0.4, min_length_s=0.08, bridging_s=0.2, cooldown_s=0.0)


@dataclass(frozen=True)
class Deciding:
    """Only what is asked of a subject here: its points."""

    presets: Presets


POINTS = Deciding(Presets(quiet={"siren": POINT}, balanced={"siren": POINT}, sensitive={"siren": POINT}))
LOUD, QUIET = [0.1] * 5 + [0.9] * 10 + [0.1] * 5, [0.1] * 20


def heard(test: list[Track], own: list[Track]) -> Heard:
    return Heard(cast("Subject", POINTS), {"siren": test}, {"siren": own})


def clips(found: int, alarmed: int, of: int = 10) -> list[Track]:
    sirens = [make_track("siren", LOUD if n < found else QUIET, group=f"s{n}") for n in range(of)]
    return sirens + [make_track("music", LOUD if n < alarmed else QUIET, group=f"m{n}") for n in range(of)]


def street(alarms: int) -> list[Track]:
    return [make_track("street", QUIET * 5 + (LOUD + QUIET) * alarms, kind="long")]


def by_name(figures: list[Figure]) -> dict[str, Figure]:
    return {f"{one.part} {one.what}": one for one in figures}


def test_figures_count_what_the_detector_reports() -> None:
    found = by_name(
        figures_of(
            heard(clips(5, 1) + street(1), clips(2, 3, of=4)),
            heard(clips(7, 2) + street(4), clips(4, 1, of=4)),
            GateSettings(),
        )
    )
    values = {name: (one.active, one.candidate) for name, one in found.items()}
    assert values["base recall at balanced"] == (0.5, 0.7)
    assert values["base clips alarmed at balanced"] == (0.1, 0.2)
    assert values["long false alarms at balanced"] == (1, 4)
    assert values["own found at balanced"] == (0.5, 1.0)
    assert values["own right decisions at balanced"] == ((0.5 + 0.25) / 2, (1 + 0.75) / 2)
    assert found["long false alarms at balanced"].verdict == "worse"
    assert [one.decides for one in found.values()].count(True) == 1


def test_one_more_right_decision_at_home_counts_as_better() -> None:
    figures = by_name(
        figures_of(heard(clips(1, 0), clips(1, 0, of=3)), heard(clips(1, 0), clips(2, 0, of=3)), GateSettings())
    )
    assert figures["own right decisions at balanced"].verdict == "better"


def test_without_own_recordings_of_both_kinds_nothing_is_said_of_them() -> None:
    sirens = [make_track("siren", LOUD)]
    figures = figures_of(heard(clips(1, 0), sirens), heard(clips(1, 0), sirens), GateSettings())
    assert {one.part for one in figures} == {"base"}
    counts = had(heard(clips(1, 0) + street(0), sirens), "siren", corpora=3)
    assert (counts.own_sirens, counts.own_others, counts.test_clips, counts.corpora) == (1, 0, 20, 3)
