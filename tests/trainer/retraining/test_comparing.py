"""Figures of two models on the same tracks."""

import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import soundfile as sf
from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Track
from earshot_trainer.retraining.comparing import Heard, figures_of, had
from earshot_trainer.retraining.gate import Figure
from earshot_trainer.retraining.new_labels import ONLY_WITHOUT, OWN_LICENCE
from earshot_trainer.retraining.own_conditions import AS_RECORDED, Conditions, under_conditions
from earshot_trainer.retraining.settings import GateSettings

POINT = OperatingPoint(enter=0.5, leave=0.4, min_length_s=0.08, bridging_s=0.2, cooldown_s=0.0)


@dataclass(frozen=True)
class Deciding:
    """Only what is asked of a subject here: its points."""

    presets: Presets


POINTS = Deciding(Presets(quiet={"siren": POINT}, balanced={"siren": POINT}, sensitive={"siren": POINT}))
LOUD, QUIET = [0.1] * 5 + [0.9] * 10 + [0.1] * 5, [0.1] * 20


def heard(test: list[Track], own: list[Track], harder: list[Track] | None = None) -> Heard:
    """What a model heard; `harder` are the own recordings once more, under another condition."""
    tracks = [*own, *(harder or [])]
    names = [AS_RECORDED] * len(own) + ["quieter"] * len(harder or [])
    origin = [*range(len(own)), *range(len(harder or []))]
    beneath = (None,) * len(tracks)
    conditions = Conditions(tuple(track.recording for track in tracks), tuple(origin), tuple(names), beneath)
    return Heard(cast("Subject", POINTS), {"siren": test}, {"siren": tracks}, conditions)


def own_recording(path: Path, labels: tuple[str, ...]) -> Recording:
    """A second of the household's noise, said to hold these labels."""
    sf.write(path, np.random.default_rng(1).normal(0, 0.05, 16_000), 16_000, subtype="PCM_16")
    return Recording(
        path, path.name, " + ".join(labels) or "background", frozenset(labels), "clip", "attic/window", path.stem, "",
        1.0, OWN_LICENCE, "",
    )  # fmt: skip


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
    assert values["own right decisions at balanced and sensitive, 1 conditions"] == ((0.5 + 0.25) / 2, (1 + 0.75) / 2)
    assert found["long false alarms at balanced"].verdict == "worse"
    assert [one.decides for one in found.values()].count(True) == 1


def test_a_sound_that_alarms_only_at_sensitive_is_told_and_counts() -> None:
    deaf = POINT.model_copy(update={"enter": 0.95})
    points = Deciding(Presets(quiet={"siren": deaf}, balanced={"siren": deaf}, sensitive={"siren": POINT}))
    before, after = (replace(heard(clips(1, 0), clips(0, n)), subject=cast("Subject", points)) for n in (8, 0))
    found = by_name(figures_of(before, after, GateSettings()))
    assert found["own alarmed without one at balanced"].active == 0.0
    assert found["own alarmed without one at sensitive"].active == 0.8
    right = found["own right decisions at balanced and sensitive, 1 conditions"]
    assert (right.active, right.candidate) == (pytest.approx((0 + (1 + 0.2) / 2) / 2), 0.5)
    assert right.verdict == "better"


def deciding(active: Heard, candidate: Heard) -> Figure:
    return next(one for one in figures_of(active, candidate, GateSettings()) if one.decides)


def test_one_more_right_decision_at_home_may_be_chance() -> None:
    one = deciding(heard(clips(1, 0), clips(3, 0)), heard(clips(1, 0), clips(4, 0)))
    assert one.candidate - one.active == pytest.approx(0.05)
    assert one.verdict == "as good"


def test_more_right_decisions_of_several_recordings_count_as_better() -> None:
    assert deciding(heard(clips(1, 0), clips(3, 2)), heard(clips(1, 0), clips(6, 1))).verdict == "better"


def test_recordings_that_both_find_are_told_apart_under_a_harder_condition() -> None:
    own = clips(10, 0)
    one = deciding(heard(clips(1, 0), own, clips(2, 0)), heard(clips(1, 0), own, clips(6, 0)))
    assert (one.active, one.candidate) == (pytest.approx((0.6 + 1) / 2), pytest.approx((0.8 + 1) / 2))
    assert one.what.endswith("2 conditions")
    assert one.verdict == "better"


def test_conditions_of_one_recording_are_one_observation() -> None:
    """The same gain, by one recording under both conditions or by two under one."""
    alone = deciding(heard([], clips(3, 0), clips(3, 0)), heard([], clips(4, 0), clips(4, 0)))
    shared = deciding(heard([], clips(3, 0), clips(2, 0)), heard([], clips(4, 0), clips(3, 0)))
    assert alone.candidate - alone.active == pytest.approx(shared.candidate - shared.active)
    assert alone.chance > shared.chance


def test_what_lies_beneath_a_recording_is_no_false_alarm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A candidate that no longer hears a doorbell under a siren gains nothing by that, nor loses one that does."""
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    labels = [("siren",)] * 4 + [("doorbell",)] * 4 + [()] * 4
    held_out = [own_recording(tmp_path / f"{n}.flac", one) for n, one in enumerate(labels)]
    conditions = under_conditions(held_out, [], tmp_path / "made")
    point = {"siren": POINT, "doorbell": POINT}
    subject = cast("Subject", Deciding(Presets(quiet=point, balanced=point, sensitive=point)))

    def listener(hears_beneath: bool) -> Heard:
        tracks: dict[str, list[Track]] = {"siren": [], "doorbell": []}
        for one, under in zip(conditions.recordings, conditions.beneath, strict=True):
            sounding = one.labels | (under.labels if under is not None and hears_beneath else frozenset())
            for label, here in tracks.items():
                here.append(Track(one, 0.8, np.array(LOUD if label in sounding else QUIET, np.float32), 0.04))
        return Heard(subject, {"siren": [], "doorbell": []}, tracks, conditions)

    for one in figures_of(listener(hears_beneath=True), listener(hears_beneath=False), GateSettings()):
        if one.decides:
            assert (one.active, one.candidate) == (1.0, 1.0), one


def test_not_a_siren_alone_is_no_recording_without_a_doorbell(tmp_path: Path) -> None:
    said = replace(own_recording(tmp_path / "x.flac", ()), note=f"{ONLY_WITHOUT} siren")
    conditions = Conditions((said, replace(said, note="")), (0, 1), (AS_RECORDED,) * 2, (None,) * 2)
    assert conditions.tell_of("doorbell") == [False, True]
    assert conditions.tell_of("siren") == [True, True]


def test_sirens_above_the_threshold_are_told_in_log_odds() -> None:
    figures = by_name(figures_of(heard([], clips(5, 0)), heard([], clips(10, 0)), GateSettings()))
    told = figures["own log-odds of sirens above balanced's threshold"]
    assert told.candidate == pytest.approx(math.log(9), abs=1e-4)
    assert told.active == pytest.approx(0.0, abs=1e-4)
    assert not told.decides


def test_without_own_recordings_of_both_kinds_nothing_is_said_of_them() -> None:
    sirens = [make_track("siren", LOUD)]
    figures = figures_of(heard(clips(1, 0), sirens), heard(clips(1, 0), sirens), GateSettings())
    assert {one.part for one in figures} == {"base"}
    counts = had(heard(clips(1, 0) + street(0), sirens), "siren", corpora=3)
    assert (counts.own_sirens, counts.own_others, counts.test_clips, counts.corpora) == (1, 0, 20, 3)
