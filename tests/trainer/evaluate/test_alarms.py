"""Synthesized alarms in soundscapes: what nearly nobody records is measured over recordings all the same."""

from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

import soundfile

from earshot_node.synth.alarms import ALARMS, CO_ALARM, SMOKE_ALARM
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.event_evidence import event_tracks
from earshot_trainer.evaluate.event_material import AlarmPiece
from earshot_trainer.evaluate.events import figures_of_events
from earshot_trainer.evaluate.events_section import ALARM_RULES
from earshot_trainer.evaluate.soundscape_audio import render
from earshot_trainer.evaluate.soundscape_plan import Soundscapes
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape
from earshot_trainer.evaluate.soundscapes import plan_alarms
from earshot_trainer.evaluate.subject import Subject, stand_in_presets
from earshot_trainer.segments.alarms import alarm_indoors, signals_of

pytestmark = pytest.mark.torch
RATE_HZ = 16_000
LABEL = "smoke_alarm"
HOP_S = 0.04


def make_long(folder: Path, name: str, label: str = "rain") -> Recording:
    rng = np.random.default_rng(len(name))
    soundfile.write(folder / f"{name}.wav", rng.normal(0, 0.01, 62 * RATE_HZ), RATE_HZ, subtype="FLOAT")
    return Recording(
        path=folder / f"{name}.wav", name=name, label=label, labels=frozenset({LABEL} if label == LABEL else ()),
        kind="long", source="test", group=name, fold="", duration_s=62.0, licence="CC0", note="",
    )  # fmt: skip


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    folder = tmp_path_factory.mktemp("long")
    return [make_long(folder, "street"), make_long(folder, "kitchen"), make_long(folder, "fire", LABEL)]


@pytest.fixture(scope="module")
def soundscapes(recordings: list[Recording]) -> Soundscapes:
    return plan_alarms({"one": recordings[:1], "other": recordings[1:]}, 3, ALARM_RULES, LABEL)


def test_signals_are_those_of_homes() -> None:
    assert set(signals_of(LABEL)) == {one.name for one in ALARMS if one.label in (SMOKE_ALARM, CO_ALARM)}
    assert signals_of("siren") == signals_of("music") == ()


@pytest.mark.parametrize("name", signals_of(LABEL))
def test_alarm_indoors_begins_with_a_tone_and_lasts_as_long_as_asked(name: str) -> None:
    for seed in range(4):
        samples = alarm_indoors(name, np.random.default_rng(seed), 2.5)
        assert samples.dtype == np.float32
        assert len(samples) == 2.5 * RATE_HZ
        assert np.abs(samples).max() == pytest.approx(0.99, abs=1e-3)
        assert np.abs(samples[: RATE_HZ // 10]).max() > 0.05


def test_every_signal_is_laid_over_each_side_alone_and_never_over_a_recorded_alarm(soundscapes: Soundscapes) -> None:
    plans = soundscapes.plans
    for partition, background in (("one", "street"), ("other", "kitchen")):
        own = [plan for plan in plans if plan.partition == partition]
        assert {plan.background.recording.name for plan in own} == {background}
        assert [recording.name for plan in own for recording in plan.recordings] == [background] * len(own)
        drawn = [event.group for plan in own for event in plan.events]
        assert {name: drawn.count(name) for name in set(drawn)} == dict.fromkeys(
            signals_of(LABEL), ALARM_RULES.events_per_group * len(ALARM_RULES.snr_db)
        )
    pieces = [piece for plan in plans for event in plan.events for piece in event.pieces]
    assert all(isinstance(piece, AlarmPiece) for piece in pieces)
    assert (
        len({piece.seed for piece in pieces if isinstance(piece, AlarmPiece)}) == len(pieces) / 2
    )  # alike at each SNR
    protocol = soundscapes.describe()
    assert protocol["events_of"] == f"{len(signals_of(LABEL))} synthesized signals"
    assert protocol == plan_alarms_again(soundscapes).describe()


def plan_alarms_again(soundscapes: Soundscapes) -> Soundscapes:
    sides = {plan.partition: [plan.background.recording] for plan in soundscapes.plans}
    return plan_alarms(sides, soundscapes.seed, soundscapes.rules, soundscapes.label)


def test_alarm_lies_where_it_was_planned_as_loud_as_planned(soundscapes: Soundscapes) -> None:
    for plan in soundscapes.plans[:4]:
        mix, alone = render(plan).astype(np.float64), plan.background.read().astype(np.float64)
        (event,) = plan.events
        before = slice(0, event.onset_sample)
        gain = np.dot(mix[before], alone[before]) / np.dot(alone[before], alone[before])
        rest = mix - gain * alone
        assert np.abs(rest[before]).max() < 1e-6
        assert np.abs(rest[event.onset_sample : event.onset_sample + RATE_HZ // 10]).max() > 0.02 * np.abs(rest).max()
        span = slice(event.onset_sample, event.offset_sample)
        snr_db = 10 * np.log10(np.mean(rest[span] ** 2) / np.mean((gain * alone[span]) ** 2))
        assert snr_db == pytest.approx(plan.snr_db, abs=0.05)


class Deaf:
    """A subject that decides by stand-in points; the soundscapes are heard for it."""

    labels = (LABEL,)
    presets = stand_in_presets((LABEL,))


def test_synthesized_events_are_evidence_that_belongs_to_their_backgrounds(
    soundscapes: Soundscapes, recordings: list[Recording]
) -> None:
    heard = []
    for plan in soundscapes.plans:
        posteriors = np.zeros(round(plan.duration_s / HOP_S), np.float32)
        (event,) = plan.events
        if event.group != "temporal_4":
            posteriors[round(event.onset_s / HOP_S) : round(event.offset_s / HOP_S)] = 0.99
        heard.append(HeardSoundscape(plan, posteriors, HOP_S))
    subject: Subject = Deaf()  # type: ignore[assignment]
    figures = figures_of_events(subject, soundscapes, heard)
    balanced = figures.by_snr[0].presets["balanced"]
    assert balanced.by_group["temporal_3"] == (16, 16)
    assert balanced.by_group["temporal_4"] == (0, 16)
    tracks = event_tracks(figures)
    assert {track.recording.path for track in tracks} == {recordings[0].path, recordings[1].path}
    assert {track.recording.group for track in tracks} == set(signals_of(LABEL))
    assert all(track.is_positive(LABEL) for track in tracks)
