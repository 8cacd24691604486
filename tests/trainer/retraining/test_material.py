"""What is learnt again and compared on: disjoint, drawn by the seed, the same every time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.retraining.material import draw, gather_material, split_corpora
from earshot_trainer.retraining.settings import load_settings
from earshot_trainer.retraining.synthetic import count_of, synthetic_set

SETTINGS = load_settings(("material.scenes=4", "material.scene_minutes=1", "material.pool_backgrounds=2"))


def recording(number: int, label: str, *, group: str = "", duration_s: float = 60.0) -> Recording:
    return Recording(
        path=Path(f"/none/{label}{number}.flac"), name=f"{label}{number}", label=label,
        labels=frozenset({"siren"} if label == "siren" else ()), kind="clip", source="corpus",
        group=group or f"{label}{number}", fold="", duration_s=duration_s, licence="CC0", note="",
    )  # fmt: skip


CORPUS = [recording(n, label) for label in ("siren", "dog", "music") for n in range(40)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def test_sets_share_no_original_and_leave_the_household_out(cache: Path) -> None:
    learnt, held_out = split_corpora(CORPUS, 0.3, seed=1)
    made = gather_material(SETTINGS, learnt, held_out, {"dog3", "siren5"}, cache)
    groups = [{one.group for one in side} for side in (made.replay, made.calibration, made.test)]
    assert not groups[0] & groups[1] | groups[0] & groups[2] | groups[1] & groups[2]
    assert not (groups[0] | groups[1] | groups[2]) & {"dog3", "siren5"}
    assert made.corpora > 3
    assert not made.is_synthetic
    assert gather_material(SETTINGS, list(reversed(learnt)), held_out, {"dog3", "siren5"}, cache) == made


def test_without_corpora_the_test_set_is_there_and_synthetic(cache: Path) -> None:
    made = gather_material(SETTINGS, (), (), (), cache)
    assert made.is_synthetic
    assert len(made.test) == count_of("test", SETTINGS.material) == 5
    assert {one.is_siren for one in made.test if one.kind == "clip"} == {True, False}
    assert not any(one.is_siren for one in made.test if one.kind == "long")


def test_synthesized_audio_is_the_same_for_a_seed_and_another_for_another(cache: Path, tmp_path: Path) -> None:
    def audio(folder: Path, seed: int, purpose: str = "test") -> list[np.ndarray]:
        rows = synthetic_set(purpose, SETTINGS.material, seed, folder)
        return [sf.read(one.path, dtype="int16")[0] for one in rows if one.kind == "clip"]

    first, again = audio(cache, 1), audio(tmp_path, 1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, audio(tmp_path, 2), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(first, audio(tmp_path, 1, "calibration"), strict=True))


def test_drawn_hours_are_kept_and_every_label_comes() -> None:
    drawn = draw(CORPUS, 0.5, seed=1)
    assert sum(one.duration_s for one in drawn) <= 1800
    counts = {label: sum(one.label == label for one in drawn) for label in ("siren", "dog", "music")}
    assert counts == {"siren": 10, "dog": 10, "music": 10}
    assert draw(list(reversed(CORPUS)), 0.5, seed=1) == drawn


def test_corpora_are_parted_by_original() -> None:
    clips = [recording(n, "dog", group=str(n // 4)) for n in range(80)]
    learnt, held_out = split_corpora(clips, 0.3, seed=1)
    assert not {one.group for one in learnt} & {one.group for one in held_out}
    assert 10 < len(held_out) < 40
