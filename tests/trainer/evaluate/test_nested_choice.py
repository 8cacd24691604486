"""Points are measured where they had no say, fold by fold."""

import pytest

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from support.subjects import sirens_alone
from support.tracks import make_track

from earshot_trainer.evaluate.nested_choice import measure_nested
from earshot_trainer.evaluate.sections import Material
from earshot_trainer.evaluate.tracks import Scored, Track

pytestmark = pytest.mark.torch


def track(label: str, peak: float, name: str, kind: str = "clip") -> Track:
    frames = [*[0.01] * 200, *[peak] * 50, *[0.01] * 200]
    made = make_track(label, frames, kind=kind, group=name)
    path = made.recording.path.with_name(f"{name}.flac")
    object.__setattr__(made.recording, "path", path)
    return made


def pool(number: int, siren_peaks: list[float], music_peak: float) -> list[Track]:
    sirens = [track("siren", peak, f"{number}-siren-{i}") for i, peak in enumerate(siren_peaks)]
    return [*sirens, track("dog", 0.05, f"{number}-dog"), track("music", music_peak, f"{number}-music", kind="long")]


def nested(*pools: list[Track]) -> dict[str, tuple[int, int]]:
    tracks = [one for tracks in pools for one in tracks]
    recordings = tuple(tuple(one.recording for one in tracks) for tracks in pools)
    material = Material(tuple(one.recording for one in tracks), recordings, 1, 1)
    found = measure_nested(sirens_alone(), Scored({"siren": tracks}, []), material, lambda *_: None)
    assert found is not None
    presets = found.by_label["siren"]
    assert presets["balanced"].hours == pytest.approx(2 * 450 * 0.04 / 3600, abs=1e-4)
    assert presets["balanced"].positives == sum(one.is_positive("siren") for one in tracks)
    assert len(presets["balanced"].points) == len(pools)
    return {name: (one.found, one.false_alarms) for name, one in presets.items()}


def test_like_folds_give_what_was_promised() -> None:
    assert nested(pool(1, [0.9, 0.95], 0.2), pool(2, [0.9, 0.95], 0.2))["quiet"] == (4, 0)


def test_trap_of_one_fold_alarms_at_points_that_never_heard_it() -> None:
    found = nested(pool(1, [0.9, 0.95], 0.1), pool(2, [0.99, 0.99], 0.97))
    assert found["quiet"][1] == 1
    assert found["quiet"][0] < 4


def test_one_pool_shows_nothing() -> None:
    tracks = pool(1, [0.9], 0.1)
    recordings = tuple(one.recording for one in tracks)
    material = Material(recordings, (recordings,), 1, 1)
    assert measure_nested(sirens_alone(), Scored({"siren": tracks}, []), material, lambda *_: None) is None


def test_fold_without_sirens_elsewhere_shows_nothing() -> None:
    one, two = pool(1, [0.9], 0.1), pool(2, [], 0.1)
    tracks = [*one, *two]
    pools = tuple(tuple(track.recording for track in tracks) for tracks in (one, two))
    material = Material(tuple(track.recording for track in tracks), pools, 1, 1)
    assert measure_nested(sirens_alone(), Scored({"siren": tracks}, []), material, lambda *_: None) is None
