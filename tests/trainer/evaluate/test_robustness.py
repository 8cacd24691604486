"""Robustness is measured on the same takes everywhere, balanced over recordings, and says what it could not measure."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from numpy.typing import NDArray
from rich.console import Console
from support.recordings import write_corpus

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_node.synth.filters import rms_dbfs
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.evaluate.conditions.background import at_level, background_alone
from earshot_trainer.evaluate.conditions.catalogue import all_conditions
from earshot_trainer.evaluate.conditions.take import LEAD_SAMPLES, TAKE_SAMPLES, Condition
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.robustness import group_intervals, measure_robustness
from earshot_trainer.evaluate.robustness_section import ROBUSTNESS
from earshot_trainer.evaluate.robustness_table import show_robustness
from earshot_trainer.evaluate.robustness_takes import load_take, plan_takes, read_passage
from earshot_trainer.evaluate.sections import Material
from earshot_trainer.evaluate.subject import Heard, Subject
from earshot_trainer.evaluate.tracks import Scored

pytestmark = pytest.mark.torch

POINT = OperatingPoint(enter=0.5, leave=0.4, min_length_s=0.2, bridging_s=0.5, cooldown_s=1.0)
PRESETS = Presets(
    quiet={"siren": POINT.model_copy(update={"enter": 0.9})},
    balanced={"siren": POINT},
    sensitive={"siren": POINT.model_copy(update={"min_length_s": 0.04})},
)
LEVELS = tuple(
    Condition("level", f"level {level_dbfs} dBFS", level_dbfs, "dBFS", partial(at_level, level_dbfs=level_dbfs))
    for level_dbfs in (-20.0, -35.0, -50.0)
)


@dataclass(frozen=True)
class LoudnessSubject:
    """Takes everything loud for a siren: posterior 0.7 in frames above -40 dBFS. Remembers what it was asked for."""

    title: str = "loudness"
    labels: tuple[str, ...] = ("other", "siren")
    hop_s: float = 0.04
    presets: Presets = PRESETS
    presets_origin: str = "invented"
    model_sha256: str = "0" * 64
    asked: list[tuple[str, ...]] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        return {"title": self.title}

    def with_presets(self, presets: Presets, origin: str) -> Subject:
        return replace(self, presets=presets, presets_origin=origin)

    def for_recordings(self, recordings: Sequence[Recording]) -> Subject:
        self.asked.append(tuple(recording.name for recording in recordings))
        return self

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        raise NotImplementedError

    def score_audio(self, samples: NDArray[np.float32], label: str | None = None) -> NDArray[np.float32]:
        frames = samples[: len(samples) // 640 * 640].reshape(-1, 640)
        loud = np.array([0.7 * (rms_dbfs(frame) > -40.0) for frame in frames], np.float32)
        return np.stack([np.zeros_like(loud), loud], axis=1)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> list[Recording]:
    return load_manifest(write_corpus(tmp_path_factory.mktemp("corpus")))


@pytest.fixture
def subject() -> LoudnessSubject:
    return LoudnessSubject()


def of_group(recording: Recording, group: str, number: int) -> Recording:
    return replace(recording, group=group, name=f"{group}-{number}")


def test_takes_are_at_most_so_many_of_a_group_and_as_many_without_the_label(recordings: list[Recording]) -> None:
    many = [of_group(recordings[0], "big", n) for n in range(9)] + [of_group(recordings[2], "small", 0)]
    plan = plan_takes([*many, *recordings[1:2], *recordings[3:4], *recordings[5:]], "siren", 1, 4)
    positives = [planned for planned in plan if planned.is_positive]
    assert Counter(planned.recording.group for planned in positives) == {"big": 4, "small": 1}
    opposed = Counter(planned.recording.label for planned in plan if not planned.is_positive)
    assert sorted(opposed.items()) in ([("car_horn", 2), ("noise", 3)], [("car_horn", 3), ("noise", 2)])
    assert {planned.background.kind for planned in plan} == {"long"}
    assert not any("siren" in planned.background.labels for planned in plan)


def test_same_seed_gives_the_same_takes_in_any_order_of_the_manifest(recordings: list[Recording]) -> None:
    forward = plan_takes(recordings, "siren", 1, 8)
    assert plan_takes(recordings[::-1], "siren", 1, 8) == forward
    take, again = (load_take(planned) for planned in (forward[0], plan_takes(recordings[::-1], "siren", 1, 8)[0]))
    assert np.array_equal(take.background, again.background)
    other_seed = load_take(plan_takes(recordings, "siren", 2, 8)[0])
    assert not np.array_equal(take.background, other_seed.background)


def test_take_begins_where_the_recording_sounds(tmp_path: Path, recordings: list[Recording]) -> None:
    sound = np.zeros(4 * SAMPLE_RATE_HZ, np.float32)
    sound[24_000:48_000] = 0.3 * np.sin(np.arange(24_000) * 0.4)
    soundfile.write(tmp_path / "late.wav", sound, SAMPLE_RATE_HZ)
    late = replace(recordings[0], path=tmp_path / "late.wav", name="late.wav")
    plan = plan_takes([late, *recordings[1:]], "siren", 1, 8)
    take = load_take(next(planned for planned in plan if planned.recording is late))
    assert len(take.sound) == len(take.background) == len(take.active) == TAKE_SAMPLES
    assert not take.sound[:LEAD_SAMPLES].any()
    assert rms_dbfs(take.sound[LEAD_SAMPLES + 3200 : LEAD_SAMPLES + 20_000]) == pytest.approx(-13.5, abs=0.5)
    assert take.active.sum() / SAMPLE_RATE_HZ == pytest.approx(1.5, abs=0.25)


def test_passage_of_a_file_at_another_rate_is_read_from_its_place(tmp_path: Path) -> None:
    ramp = np.repeat(np.arange(8, dtype=np.float32) / 10, 44_100)
    soundfile.write(tmp_path / "ramp.wav", np.stack([ramp, ramp], axis=1), 44_100)
    passage = read_passage(tmp_path / "ramp.wav", 3.25, 0.5)
    assert len(passage) == pytest.approx(8000, abs=1)
    assert passage[4000] == pytest.approx(0.3, abs=1e-3)


def test_recall_falls_where_the_subject_no_longer_hears(subject: LoudnessSubject, recordings: list[Recording]) -> None:
    figures = measure_robustness(subject, [recordings], conditions=LEVELS)
    assert (figures.positives, figures.groups) == (3, 3)
    assert [row.recall["balanced"] for row in figures.conditions] == [1.0, 1.0, 0.0]
    assert [row.recall["quiet"] for row in figures.conditions] == [0.0, 0.0, 0.0]
    assert [row.change["balanced"] for row in figures.conditions] == [0.0, 0.0, -1.0]
    assert [row.mean_peak for row in figures.conditions] == pytest.approx([0.7, 0.7, 0.0])
    assert [row.auc for row in figures.conditions] == [0.5, 0.5, 0.5]
    assert len(figures.conditions[2].missed) == 3
    assert [row.value for row in figures.curve("level")] == [-50.0, -35.0, -20.0]


def test_event_that_ends_before_the_sound_is_not_counted_as_found(
    subject: LoudnessSubject, recordings: list[Recording]
) -> None:
    def loud_lead(take: Any, rng: np.random.Generator) -> NDArray[np.float32]:
        samples = background_alone(take, rng)
        samples[LEAD_SAMPLES - 16_000 :] = 0.0
        return samples

    figures = measure_robustness(
        subject, [recordings], conditions=[LEVELS[0], Condition("lead", "loud lead", None, "", loud_lead)]
    )
    assert [row.recall["sensitive"] for row in figures.conditions] == [1.0, 0.0]


def test_sound_and_background_come_from_one_partition(subject: LoudnessSubject, recordings: list[Recording]) -> None:
    by_name = {recording.name.removesuffix(".flac"): recording for recording in recordings}
    partitions = [
        [by_name[name] for name in ("wail", "horn", "street")],
        [by_name[name] for name in ("hilo", "hiss", "room")],
    ]
    figures = measure_robustness(subject, partitions, conditions=LEVELS[:1])
    asked = {tuple(name.removesuffix(".flac") for name in names) for names in subject.asked}
    assert asked == {("wail", "street"), ("horn", "street"), ("hilo", "room"), ("hiss", "room")}
    assert figures.protocol["partitions"] == [3, 3]


@pytest.mark.parametrize(
    ("kept", "missing"),
    [
        (("horn", "street"), "no recording with siren"),
        (("wail", "street"), "no clip without siren"),
        (("wail", "horn"), "no long recording without siren as background"),
    ],
)
def test_partition_that_lacks_something_is_left_out_and_told(
    kept: tuple[str, ...], missing: str, subject: LoudnessSubject, recordings: list[Recording]
) -> None:
    chosen = [recording for recording in recordings if recording.name.removesuffix(".flac") in kept]
    with pytest.raises(OperatorError, match=missing):
        measure_robustness(subject, [chosen], conditions=LEVELS[:1])
    figures = measure_robustness(subject, [chosen, recordings], conditions=LEVELS[:1])
    assert figures.left_out == [f"2 recordings of one partition: {missing}"]
    assert figures.protocol["partitions"] == [len(recordings)]


def test_recording_that_cannot_be_read_is_left_out_under_every_condition(
    subject: LoudnessSubject, recordings: list[Recording], tmp_path: Path
) -> None:
    (tmp_path / "torn.flac").write_bytes(b"no audio")
    torn = replace(recordings[0], path=tmp_path / "torn.flac", name="torn.flac", group="torn")
    silent = replace(recordings[0], path=tmp_path / "silent.wav", name="silent.wav", group="silent")
    soundfile.write(silent.path, np.zeros(64_000), SAMPLE_RATE_HZ)
    figures = measure_robustness(subject, [[torn, silent, *recordings]], conditions=LEVELS[:2])
    assert (figures.positives, figures.groups) == (3, 3)
    assert len(figures.left_out) == 2
    assert any("torn.flac" in line for line in figures.left_out)
    assert any("silent.wav sounds for less than 0.5 s" in line for line in figures.left_out)


def test_condition_that_cannot_be_measured_is_told_with_its_reason(
    subject: LoudnessSubject, recordings: list[Recording]
) -> None:
    absent = replace(LEVELS[1], name="AAC", missing="ffmpeg is not installed")
    figures = measure_robustness(subject, [recordings], conditions=[LEVELS[0], absent])
    assert [row.name for row in figures.conditions] == ["level -20.0 dBFS"]
    assert figures.not_measured == {"AAC": "ffmpeg is not installed"}
    console = Console(record=True, width=160)
    show_robustness(console, {"a": figures})
    assert "not measured: AAC: ffmpeg is not installed" in console.export_text()


def test_two_subjects_stand_side_by_side(subject: LoudnessSubject, recordings: list[Recording]) -> None:
    strict = subject.with_presets(PRESETS.model_copy(update={"balanced": PRESETS.quiet}), "strict")
    found = {
        name: measure_robustness(one, [recordings], conditions=LEVELS)
        for name, one in (("loose", subject), ("strict", strict))
    }
    console = Console(record=True, width=160)
    show_robustness(console, found)
    row = next(line for line in console.export_text().splitlines() if "level -20" in line)
    assert "1.00 / 1.00 / 0.500" in row
    assert "0.00 / 0.00 / 0.500" in row


def test_section_measures_within_the_pools_of_the_material(
    subject: LoudnessSubject, recordings: list[Recording], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("earshot_trainer.evaluate.robustness.all_conditions", lambda: LEVELS)
    material = Material.of(subject, recordings, seed=3, jobs=1)
    counted: list[tuple[int, int]] = []
    figures = ROBUSTNESS.measure(
        subject, Scored({"siren": []}, []), material, lambda done, total: counted.append((done, total))
    )
    assert figures is not None
    assert figures.to_dict()["protocol"]["seed"] == 3
    assert counted[-1] == (6, 6)
    without = Material.of(subject, [r for r in recordings if not r.is_siren], seed=3, jobs=1)
    assert ROBUSTNESS.measure(subject, Scored({"siren": []}, []), without, lambda done, total: None) is None


def test_two_processes_measure_what_one_does(recordings: list[Recording]) -> None:
    subject = load_subject(None)
    chosen = [condition for condition in all_conditions() if condition.name in ("plain", "SNR +0 dB")]
    one = measure_robustness(subject, [recordings], conditions=chosen)
    two = measure_robustness(subject, [recordings], conditions=chosen, jobs=2)
    assert replace(one, wall_s=0.0) == replace(two, wall_s=0.0)
    assert one.conditions[0].recall["sensitive"] > 0.5
    assert json.loads(json.dumps(one.to_dict()))["conditions"][1]["value"] == 0.0


def test_interval_over_groups_narrows_with_their_number_and_holds_the_mean() -> None:
    few, many = (np.tile([[0.0, 0.5, 1.0], [1.0, 0.5, 1.0]], (count, 1)) for count in (3, 60))
    wide, narrow = group_intervals(few), group_intervals(many)
    assert wide["quiet"][0] < narrow["quiet"][0] < 0.5 < narrow["quiet"][1] < wide["quiet"][1]


def test_groups_that_all_agree_have_the_interval_of_wilson() -> None:
    found = group_intervals(np.tile([[1.0, 0.0, 0.5]], (28, 1)))
    assert found["quiet"] == pytest.approx((28 / (28 + 1.96**2), 1.0), abs=1e-4)
    assert found["balanced"] == pytest.approx((0.0, 1 - 28 / (28 + 1.96**2)), abs=1e-4)
    assert group_intervals(np.zeros((1, 3)), least=-1.0)["quiet"] == pytest.approx((-0.79, 0.79), abs=0.01)
