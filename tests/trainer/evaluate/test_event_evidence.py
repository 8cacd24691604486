"""Events of soundscapes have a say in the choice of operating points."""

from collections.abc import Sequence

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from support.tracks import HOP_S, make_track

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_trainer.evaluate.event_evidence import AFTER_S, event_tracks, figures_at
from earshot_trainer.evaluate.event_material import Piece
from earshot_trainer.evaluate.events import EventFigures, EventsAtSnr, measure_at_point
from earshot_trainer.evaluate.operating_points import Evidence, choose_operating_points, judge_point
from earshot_trainer.evaluate.soundscape_plan import PlannedEvent, SoundscapePlan
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape
from earshot_trainer.evaluate.tracks import Track

pytestmark = pytest.mark.torch
RATE_HZ = 16_000
POINT = OperatingPoint(enter=0.5, leave=0.3, min_length_s=0.2, bridging_s=0.4, cooldown_s=1.0)
PRESETS = Presets(
    quiet={"siren": POINT.model_copy(update={"enter": 0.95})}, balanced={"siren": POINT}, sensitive={"siren": POINT}
)


def soundscape(number: int, peaks: Sequence[float], snr_db: float = 10.0) -> HeardSoundscape:
    """A minute with an event of 5 s every 20 s from 10 s on."""
    posteriors = np.zeros(round(60 / HOP_S), np.float32)
    events = []
    for place, peak in enumerate(peaks):
        onset_s = 10.0 + 20 * place
        posteriors[round(onset_s / HOP_S) : round((onset_s + 5) / HOP_S)] = peak
        siren = make_track("siren", [peak], group=f"{number}-{place}").recording
        onset = round(onset_s * RATE_HZ)
        events.append(PlannedEvent(siren.group, (Piece(siren, 0, 5 * RATE_HZ),), onset, onset + 5 * RATE_HZ))
    background = Piece(make_track("music", [0.0], kind="long").recording, 0, 60 * RATE_HZ)
    plan = SoundscapePlan("all", number, "siren", background, tuple(events), snr_db, -30.0, 0, 0)
    return HeardSoundscape(plan, posteriors, HOP_S)


def figures(*heard: HeardSoundscape) -> EventFigures:
    by_snr = [
        EventsAtSnr(snr_db, {"balanced": measure_at_point([h for h in heard if h.plan.snr_db == snr_db], POINT)}, {})
        for snr_db in sorted({h.plan.snr_db for h in heard}, reverse=True)
    ]
    return EventFigures("siren", {"seed": 1}, by_snr, heard)


def test_each_event_gives_a_track_from_its_onset_on() -> None:
    found = event_tracks(figures(soundscape(0, [0.9, 0.4]), soundscape(1, [0.7], snr_db=0.0)))
    assert [track.recording.group for track in found] == ["0-0", "0-1"]
    for track, peak in zip(found, (0.9, 0.4), strict=True):
        assert track.duration_s == pytest.approx(5 + AFTER_S, abs=HOP_S)
        assert track.score == pytest.approx(peak)
        assert track.posteriors[0] == pytest.approx(peak)
        assert track.posteriors[-1] == 0.0


def test_figures_at_other_points_are_measured_on_the_same_soundscapes() -> None:
    moved = figures_at(figures(soundscape(0, [0.9, 0.97]), soundscape(1, [0.7], snr_db=0.0)), PRESETS)
    assert [at_snr.snr_db for at_snr in moved.by_snr] == [10.0, 0.0]
    recalls = [{name: one.recall for name, one in at_snr.presets.items()} for at_snr in moved.by_snr]
    assert recalls == [
        {"quiet": 0.5, "balanced": 1.0, "sensitive": 1.0},
        {"quiet": 0.0, "balanced": 1.0, "sensitive": 1.0},
    ]


def test_faint_events_lower_the_threshold_that_clips_alone_would_give() -> None:
    clips: list[Track] = [make_track("siren", [0.0] * 100 + [0.9] * 50, group=str(i)) for i in range(4)]
    quiet = make_track("music", [0.1] * 9000, kind="long")
    brief = make_track("music", ([0.7] * 12 + [0.0] * 500) * 4, kind="long", group="brief")
    events = event_tracks(figures(*(soundscape(number, [0.6, 0.6]) for number in range(4))))
    alone, _ = choose_operating_points({"siren": Evidence.of([*clips, quiet, brief], "siren")})
    evidence = Evidence.of([*clips, quiet, brief], "siren", events)
    together, choices = choose_operating_points({"siren": evidence})
    assert alone.quiet["siren"].enter > 0.7
    assert together.quiet["siren"].enter <= 0.6
    assert (choices["siren"]["quiet"].event_recall, choices["siren"]["quiet"].false_alarms) == (1.0, 0)
    assert judge_point("siren", evidence, alone.quiet["siren"], 0).event_recall == 0.0


def test_without_events_there_is_no_recall_of_events() -> None:
    clips = [make_track("siren", [0.9] * 50), make_track("music", [0.1] * 900, kind="long")]
    _, choices = choose_operating_points({"siren": Evidence.of(clips, "siren")})
    assert choices["siren"]["balanced"].event_recall is None


def test_events_alone_are_evidence_enough() -> None:
    long = make_track("music", [0.1] * 9000, kind="long")
    events = event_tracks(figures(*(soundscape(number, [0.6, 0.6]) for number in range(2))))
    points, choices = choose_operating_points({"siren": Evidence.of([long], "siren", events)})
    assert 0.1 < points.balanced["siren"].enter <= 0.6
    assert (choices["siren"]["balanced"].recall, choices["siren"]["balanced"].event_recall) == (1.0, 1.0)
    with pytest.raises(OperatorError, match="no long recordings without siren"):
        Evidence.of([], "siren", events)
