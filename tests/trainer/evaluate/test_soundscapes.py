"""Soundscapes: what was planned is what is heard, at the planned places, SNR and level, the same again from a seed."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

import soundfile
from numpy.typing import NDArray

from earshot_node.errors import AudioFileError
from earshot_trainer.corpus.recordings import Recording, load_manifests
from earshot_trainer.evaluate.event_material import Piece, bridged_runs, find_pieces, order_as_recorded
from earshot_trainer.evaluate.soundscape_audio import render
from earshot_trainer.evaluate.soundscape_plan import SoundscapePlan, SoundscapeRules
from earshot_trainer.evaluate.soundscapes import plan_soundscapes

pytestmark = pytest.mark.torch

RATE_HZ = 16_000
RULES = SoundscapeRules(events_per_group=4, level_dbfs=(-40.0, -30.0), long_events=True)


def make_recording(
    folder: Path, name: str, samples: NDArray[np.floating], label: str, *, group: str = "", note: str = ""
) -> Recording:
    soundfile.write(folder / f"{name}.wav", samples, RATE_HZ, subtype="FLOAT")
    return Recording(
        path=folder / f"{name}.wav",
        name=name,
        label=label,
        labels=frozenset({"siren"} if label == "siren" else ()),
        kind="long" if len(samples) > 20 * RATE_HZ else "clip",
        source="test",
        group=group or name,
        fold="",
        duration_s=len(samples) / RATE_HZ,
        licence="CC0",
        note=note,
    )


def make_tone(seconds: float, hz: float = 900.0, amplitude: float = 0.2) -> NDArray[np.float64]:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(seconds * RATE_HZ)) / RATE_HZ)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    """Three groups of sirens (one of many clips, one clip with a silent half, one long), three long noises, a clip."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(3)
    clips = [make_recording(folder, f"a-{i}", make_tone(4, 700 + 20 * i), "siren", group="a") for i in range(12)]
    half = np.concatenate((make_tone(2), np.zeros(2 * RATE_HZ)))
    street = [
        make_recording(folder, f"street{i}", rng.normal(0, 0.003 * 4**i, 50 * RATE_HZ), "street") for i in range(3)
    ]
    return [
        *clips,
        make_recording(folder, "b-0", half, "siren", group="b"),
        make_recording(folder, "c", make_tone(25, 1200), "siren"),
        *street,
        make_recording(folder, "horn", make_tone(4, 300), "car_horn"),
    ]


@pytest.fixture(scope="module")
def plans(recordings: list[Recording]) -> tuple[SoundscapePlan, ...]:
    return plan_soundscapes({"all": recordings}, 5, RULES).plans


def measured_snr_db(plan: SoundscapePlan) -> list[float]:
    """Measure from the samples: the background's gain where it is alone, and what is left without the background."""
    mix, background = render(plan).astype(np.float64), plan.background.read().astype(np.float64)
    alone = np.ones(len(mix), dtype=bool)
    for event in plan.events:
        alone[event.onset_sample : event.offset_sample] = False
    gain = np.dot(mix[alone], background[alone]) / np.dot(background[alone], background[alone])
    rest = mix - gain * background
    assert np.abs(rest[alone]).max() < 1e-6
    spans = [slice(event.onset_sample, event.offset_sample) for event in plan.events]
    return [float(10 * np.log10(np.mean(rest[s] ** 2) / np.mean((gain * background[s]) ** 2))) for s in spans]


def test_measured_snr_is_the_planned_one(plans: Sequence[SoundscapePlan]) -> None:
    for plan in plans[:8]:
        for snr_db in measured_snr_db(plan):
            assert snr_db == pytest.approx(plan.snr_db, abs=0.01)
    assert {plan.snr_db for plan in plans[:8]} == {10.0, 0.0}


@pytest.mark.audio_data
def test_measured_snr_of_real_recordings_is_the_planned_one(audio_data: Path) -> None:
    manifests = [audio_data / "urban" / "manifest.csv", audio_data / "negatives" / "manifest.csv"]
    some = [r for r in load_manifests(manifests) if r.group in {"106905", "184623"} or r.source == "Tuxemon/Tuxemon"]
    plans = plan_soundscapes({"all": some}, 1, replace(RULES, snr_db=(0.0,), events_per_group=1)).plans
    snrs_db = [snr_db for plan in plans for snr_db in measured_snr_db(plan)]
    assert snrs_db == [pytest.approx(0.0, abs=0.02)] * 2


def test_level_is_the_planned_one_where_nothing_clips(plans: Sequence[SoundscapePlan]) -> None:
    for plan in plans[:8]:
        samples = render(plan)
        assert samples.dtype == np.float32
        assert 20 * np.log10(np.sqrt(np.mean(samples.astype(np.float64) ** 2))) == pytest.approx(
            plan.level_dbfs, abs=0.01
        )


def test_loud_plan_is_scaled_so_that_nothing_clips(plans: Sequence[SoundscapePlan]) -> None:
    loud = replace(plans[0], level_dbfs=0.0)
    assert np.abs(render(loud)).max() == pytest.approx(0.99)
    assert measured_snr_db(loud)[0] == pytest.approx(loud.snr_db, abs=0.01)


def test_events_lie_apart_and_inside(plans: Sequence[SoundscapePlan]) -> None:
    assert {len(plan.events) for plan in plans} == {1, 2}
    for plan in plans:
        assert 30 <= plan.duration_s <= 49.5
        truth = plan.truth
        assert truth[0][0] >= RULES.lead_s
        assert truth[-1][1] <= plan.duration_s - RULES.tail_s + 1e-3
        assert all(4 - 0.11 <= offset_s - onset_s <= 10 for onset_s, offset_s in truth)
        assert all(later[0] - earlier[1] >= RULES.gap_s - 1e-3 for earlier, later in pairwise(truth))


def test_events_are_balanced_over_groups_however_many_clips(plans: Sequence[SoundscapePlan]) -> None:
    groups = [event.group for plan in plans if plan.snr_db == 0 for event in plan.events]
    assert sorted(groups) == ["a"] * 4 + ["b"] * 4 + ["c"] * 4


def test_backgrounds_are_long_negatives_used_equally_often(plans: Sequence[SoundscapePlan]) -> None:
    names = [plan.background.recording.name for plan in plans if plan.snr_db == 0]
    counts = [names.count(name) for name in ("street0", "street1", "street2")]
    assert sum(counts) == len(names)
    assert max(counts) - min(counts) <= 1


def test_every_snr_has_the_same_layouts(plans: Sequence[SoundscapePlan]) -> None:
    louder = [replace(plan, snr_db=0.0) for plan in plans if plan.snr_db == 10.0]
    assert louder == [plan for plan in plans if plan.snr_db == 0.0]
    assert len({plan.name for plan in plans}) == len(plans)


def test_same_seed_gives_the_same_plans_and_samples(
    recordings: list[Recording], plans: Sequence[SoundscapePlan]
) -> None:
    again = plan_soundscapes({"all": recordings}, 5, RULES)
    assert again.plans == plans
    assert np.array_equal(render(again.plans[3]), render(plans[3]))
    other = plan_soundscapes({"all": recordings}, 6, RULES)
    assert other.describe()["plan_sha256"] != again.describe()["plan_sha256"]


def test_soundscapes_mix_within_a_partition_only(recordings: list[Recording]) -> None:
    halves = {"left": recordings[:7] + recordings[14:15], "right": recordings[7:14] + recordings[15:]}
    found = plan_soundscapes(halves, 1, RULES)
    assert {plan.partition for plan in found.plans} == {"left", "right"}
    for plan in found.plans:
        assert set(plan.recordings) <= set(halves[plan.partition])
    alone = plan_soundscapes({"right": halves["right"]}, 1, RULES)
    assert list(alone.plans) == [plan for plan in found.plans if plan.partition == "right"]


def test_partition_without_events_or_backgrounds_gives_nothing(recordings: list[Recording]) -> None:
    assert plan_soundscapes({"sirens": recordings[:14], "streets": recordings[14:]}, 1, RULES).plans == ()


def test_silent_part_of_a_clip_is_no_event(recordings: list[Recording], plans: Sequence[SoundscapePlan]) -> None:
    (piece,) = find_pieces(recordings[12], 18.0, 0.5, 1.0)
    assert piece.samples / RATE_HZ == pytest.approx(2.0, abs=0.1)
    pieces = [piece for plan in plans for event in plan.events if event.group == "b" for piece in event.pieces]
    assert max(piece.begin_sample + piece.samples for piece in pieces) <= 2.1 * RATE_HZ


def test_recording_noted_as_very_faint_is_left_out(recordings: list[Recording]) -> None:
    faint = [replace(r, note="very faint siren") if r.group == "a" else r for r in recordings]
    found = plan_soundscapes({"all": faint}, 1, RULES)
    assert {event.group for plan in found.plans for event in plan.events} == {"b", "c"}
    assert found.left_out == {f"a-{i}": "very faint siren" for i in range(12)}


def test_long_recording_with_a_weak_label_gives_no_event_unless_asked_for(recordings: list[Recording]) -> None:
    found = plan_soundscapes({"all": recordings}, 1)
    assert {event.group for plan in found.plans for event in plan.events} == {"a", "b"}
    assert found.left_out == {"c": "long, so its label is weak: onsets in it are not known"}


def test_clips_follow_each_other_as_recorded(recordings: list[Recording]) -> None:
    names = [r.name for r in order_as_recorded(reversed(recordings[:12]))]
    assert names == [f"a-{i}" for i in range(12)]


def test_short_gap_belongs_to_the_run() -> None:
    active = np.array([0, 1, 1, 0, 0, 1, 0, 0, 0, 1], dtype=bool)
    assert bridged_runs(active, 2) == [(1, 6), (9, 10)]
    assert bridged_runs(active, 0) == [(1, 3), (5, 6), (9, 10)]
    assert bridged_runs(np.zeros(4, dtype=bool), 2) == []


def test_piece_beyond_the_end_is_refused_by_name(recordings: list[Recording]) -> None:
    with pytest.raises(AudioFileError, match=r"street0\.wav: ends after 50\.0 s"):
        Piece(recordings[14], 49 * RATE_HZ, 2 * RATE_HZ).read()


def test_rules_whose_event_does_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        SoundscapeRules(length_s=(10.0, 60.0))
