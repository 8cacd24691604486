"""A label that the active model does not hear: its operating points, and what it finds."""

from dataclasses import dataclass, replace
from typing import cast

import pytest
from support.tracks import make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tracks import Track
from earshot_trainer.retraining.comparing import Heard
from earshot_trainer.retraining.new_label_figures import choose_points, new_label_figures
from earshot_trainer.retraining.new_labels import ONLY_WITHOUT, OWN_LICENCE
from earshot_trainer.retraining.own_conditions import AS_RECORDED, Conditions
from earshot_trainer.retraining.settings import GateSettings

POINT = OperatingPoint(enter=0.5, leave=0.4, min_length_s=0.08, bridging_s=0.2, cooldown_s=0.0)
LOUD, QUIET = [0.1] * 5 + [0.9] * 10 + [0.1] * 5, [0.1] * 20


@dataclass(frozen=True)
class Deciding:
    """Only what is asked of a subject here: its points."""

    presets: Presets


POINTS = Deciding(Presets(quiet={"doorbell": POINT}, balanced={"doorbell": POINT}, sensitive={"doorbell": POINT}))


def own(posteriors: list[float], *labels: str, group: str = "g", note: str = "") -> Track:
    """A household's recording."""
    track = make_track("+".join(labels) or "background", posteriors, group=group)
    said = replace(track.recording, labels=frozenset(labels), licence=OWN_LICENCE, note=note)
    return replace(track, recording=said)


def heard(test: list[Track], recordings: list[Track], harder: list[Track]) -> Heard:
    """What a candidate heard; `harder` are own recordings once more, under another condition."""
    tracks = [*recordings, *harder]
    names = (AS_RECORDED,) * len(recordings) + ("quieter",) * len(harder)
    conditions = Conditions(
        tuple(one.recording for one in tracks), tuple(range(len(tracks))), names, (None,) * len(tracks)
    )
    return Heard(cast("Subject", POINTS), {"doorbell": test}, {"doorbell": tracks}, conditions)


def test_figures_count_what_the_detector_reports() -> None:
    recordings = [own(LOUD, "doorbell", group="a"), own(LOUD, "doorbell", group="b"), own(QUIET, "doorbell", group="b")]
    recordings += [own(LOUD, "siren"), own(QUIET), own(QUIET)]
    test = [
        make_track("music", LOUD),
        make_track("music", QUIET),
        make_track("street", LOUD + QUIET + LOUD, kind="long"),
    ]
    one = new_label_figures(heard(test, recordings, [own(QUIET, "doorbell"), own(LOUD)]), "doorbell", GateSettings())
    assert (one.held_out, one.sessions, one.found, one.recall) == (3, 2, 2, pytest.approx(2 / 3))
    assert one.found_under_conditions == 0.5
    assert (one.own_others, one.own_alarmed, one.most_own_alarmed) == (3, 1, 1)
    assert (one.clips, one.clips_alarmed) == (2, 1)
    assert (one.false_alarms, one.most_false_alarms) == (2, 1)
    assert one.long_hours == pytest.approx(60 * 0.04 / 3600, abs=1e-3)
    assert [text.split(",")[0] for text in one.lacks] == ["2 of 3 found", "2 false alarms in 0.00 h"]


def test_what_may_hold_the_label_is_no_false_alarm() -> None:
    recordings = [own(LOUD, "doorbell"), own(LOUD, note=f"{ONLY_WITHOUT} siren"), own(QUIET)]
    street = make_track("street", LOUD, kind="long")
    with_a_bell = replace(street, recording=replace(street.recording, note="wind doorbell"))
    test = [make_track("doorbell", LOUD), make_track("music", QUIET), with_a_bell, replace(street)]
    one = new_label_figures(heard(test, recordings, []), "doorbell", GateSettings())
    assert (one.own_others, one.own_alarmed) == (1, 0)
    assert (one.clips, one.clips_alarmed) == (1, 0)
    assert one.false_alarms == 1


def test_limits_grow_with_what_was_heard_but_one_is_always_allowed() -> None:
    test = [make_track("music", QUIET) for _ in range(60)] + [make_track("street", [0.1] * 180_000, kind="long")]
    one = new_label_figures(heard(test, [own(LOUD, "doorbell")], []), "doorbell", GateSettings())
    assert (one.most_clips_alarmed, one.most_false_alarms, one.most_own_alarmed) == (3, 4, 1)
    assert one.lacks == ()


def test_points_find_the_held_out_recordings_within_the_budget_of_false_alarms() -> None:
    long = make_track("street", ([0.02] * 200 + [0.6] * 30 + [0.02] * 200) * 3, kind="long")
    unknown = make_track("doorbell", [0.02] * 200 + [0.99] * 200, kind="long", group="unknown")
    found = choose_points(
        [long, unknown, make_track("music", [0.3] * 50)],
        [own([0.02] * 20 + [0.9] * 40, "doorbell"), own([0.05] * 60)],
        "doorbell",
    )
    assert set(found) == {"quiet", "balanced", "sensitive"}
    for choice in found.values():
        assert (choice.recall, choice.false_alarms) == (1.0, 0)
        assert 0.6 < choice.point.enter <= 0.9


def test_points_need_a_recording_with_the_label() -> None:
    with pytest.raises(OperatorError, match="no recordings with doorbell"):
        choose_points([make_track("street", QUIET, kind="long")], [own(LOUD, "dog")], "doorbell")
