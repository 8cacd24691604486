"""Held-out recordings as they would sound another time."""

from pathlib import Path

import numpy as np
import pytest
import soundfile as sf

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.retraining.own_conditions import AS_RECORDED, laid_over, street_clips, under_conditions

RATE_HZ = 16_000


def recorded(folder: Path, name: str, hz: float, *, is_siren: bool, kind: str = "clip") -> Recording:
    """A second of a tone at -12 dBFS peak."""
    path = folder / f"{name}.flac"
    sf.write(path, 0.25 * np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ), RATE_HZ, subtype="PCM_16")
    labels = frozenset({"siren"} if is_siren else ())
    source = "synthetic" if kind == "long" else "attic/window"
    return Recording(
        path, name, "siren" if is_siren else "background", labels, "long" if kind == "long" else "clip", source,
        f"session of {name}", "", 1.0, "the household's own", "",
    )  # fmt: skip


@pytest.fixture
def material(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Recording], list[Recording]]:
    monkeypatch.setenv("EARSHOT_CACHE", str(tmp_path / "cache"))
    own = [
        recorded(tmp_path, "siren", 900, is_siren=True),
        recorded(tmp_path, "kettle", 3000, is_siren=False),
    ]
    return own, [recorded(tmp_path, "street", 100, is_siren=False, kind="long")]


def power_at(path: Path, hz: int) -> float:
    samples, _ = sf.read(path)
    return float(np.abs(np.fft.rfft(samples))[hz] ** 2)


def test_each_recording_is_heard_as_it_is_and_under_conditions(
    material: tuple[list[Recording], list[Recording]], tmp_path: Path
) -> None:
    own, streets = material
    made = under_conditions(own, streets, tmp_path / "made")
    assert [made.names[made.origin.index(index)] for index in (0, 1)] == [AS_RECORDED, AS_RECORDED]
    assert made.recordings[0] == own[0]
    assert [made.origin.count(index) for index in (0, 1)] == [6, 4]
    for one, index in zip(made.recordings, made.origin, strict=True):
        assert (one.labels, one.group, one.duration_s) == (own[index].labels, own[index].group, 1.0)
        assert len(sf.read(one.path)[0]) == RATE_HZ


def test_ratio_is_what_the_condition_says(material: tuple[list[Recording], list[Recording]], tmp_path: Path) -> None:
    own, streets = material
    made = under_conditions(own, streets, tmp_path / "made")
    by_name = {
        name: one.path for one, index, name in zip(made.recordings, made.origin, made.names, strict=True) if not index
    }
    for name, beneath_hz in (("own sound", 3000), ("street", 100)):
        for ratio_db in (10, 0):
            path = by_name[f"over {name} at {ratio_db:+d} dB"]
            ratio = 10 * np.log10(power_at(path, 900) / power_at(path, beneath_hz))
            assert ratio == pytest.approx(ratio_db, abs=0.2)
    quieter = power_at(by_name["quieter"], 900) / power_at(own[0].path, 900)
    assert 10 * np.log10(quieter) == pytest.approx(-12, abs=0.2)


def test_the_same_is_written_each_time(material: tuple[list[Recording], list[Recording]], tmp_path: Path) -> None:
    own, streets = material
    once, again = (under_conditions(own, streets, tmp_path / name) for name in ("once", "again"))
    assert [one.path.read_bytes() for one in once.recordings] == [one.path.read_bytes() for one in again.recordings]


def test_without_others_and_streets_only_quieter_is_left(
    material: tuple[list[Recording], list[Recording]], tmp_path: Path
) -> None:
    assert under_conditions(material[0][:1], [], tmp_path / "made").names == (AS_RECORDED, "quieter")
    assert under_conditions([], [], tmp_path / "none").recordings == ()


def test_silence_beneath_stays_silence() -> None:
    front = np.full(100, 0.1, np.float32)
    assert np.array_equal(laid_over(front, np.zeros(30, np.float32), 0.0), front)


def test_streets_are_the_synthesized_long_ones(material: tuple[list[Recording], list[Recording]]) -> None:
    own, streets = material
    assert street_clips([*own, *streets]) == streets
