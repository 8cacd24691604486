"""Mixtures follow from their number, say where a siren sounds and name what they are made of."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import make_corpus

from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording, load_manifest
from earshot_trainer.distillation import mixtures
from earshot_trainer.distillation.mixtures import MADE, PLAIN, REAL, TRAP, MixtureRenderer
from earshot_trainer.segments.synthetic import SyntheticSound

LENGTH = 32_000


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[list[Recording], PcmCache]:
    recordings = load_manifest(make_corpus(tmp_path / "corpus", sirens=2, negatives=3))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    return recordings, cache


def pool() -> list[SyntheticSound]:
    tone = (12_000 * np.sin(2 * np.pi * 700 * np.arange(24_000) / 16_000)).astype(np.int16)
    return [SyntheticSound(tone, "wail", is_siren=True), SyntheticSound(tone[::-1], "melody", is_siren=False)]


def renderer(corpus: tuple[list[Recording], PcmCache], sounds: list[SyntheticSound], seed: int = 1) -> MixtureRenderer:
    return MixtureRenderer(*corpus, sounds, LENGTH, active_range_db=18.0, seed=seed)


def only(monkeypatch: pytest.MonkeyPatch, kind: int) -> None:
    monkeypatch.setattr(mixtures, "KIND_ODDS", tuple(float(kind == one) for one in (REAL, MADE, TRAP, PLAIN)))


def test_number_and_seed_alone_decide_a_mixture(corpus: tuple[list[Recording], PcmCache]) -> None:
    first, second = renderer(corpus, pool()), renderer(corpus, pool())
    second.render(3)
    assert np.array_equal(first.render(7).samples, second.render(7).samples)
    assert not np.array_equal(first.render(7).samples, first.render(8).samples)
    assert not np.array_equal(first.render(7).samples, renderer(corpus, pool(), seed=2).render(7).samples)


@pytest.mark.parametrize(("kind", "has_siren"), [(REAL, True), (MADE, True), (TRAP, False), (PLAIN, False)])
def test_siren_is_active_where_one_was_laid_and_nowhere_else(
    corpus: tuple[list[Recording], PcmCache], monkeypatch: pytest.MonkeyPatch, kind: int, has_siren: bool
) -> None:
    only(monkeypatch, kind)
    made = [renderer(corpus, pool()).render(number) for number in range(20)]
    assert all(len(one.samples) == LENGTH and len(one.active) == LENGTH // 640 for one in made)
    assert all(np.isfinite(one.samples).all() and np.abs(one.samples).max() <= 1.0 for one in made)
    assert [one.active.any() for one in made].count(True) >= (18 if has_siren else 0)
    assert has_siren or not any(one.active.any() for one in made)


def test_active_frames_are_those_in_which_the_siren_is_heard(
    corpus: tuple[list[Recording], PcmCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    only(monkeypatch, MADE)
    for name in ("DISTANCE_SHARE", "ROOM_SHARE", "FRONT_ROOM_SHARE"):
        monkeypatch.setattr(mixtures, name, 0.0)
    monkeypatch.setattr(mixtures, "ALONE_SHARE", 1.0)
    monkeypatch.setattr(mixtures, "NOISE_DB", (-60.0, -60.0))
    checked = 0
    for number in range(20):
        one = renderer(corpus, pool()).render(number)
        level = np.square(one.samples).reshape(-1, 640).mean(axis=1)
        if one.active.all():
            continue
        assert level[one.active].mean() > 100 * level[~one.active].mean()
        checked += 1
    assert checked > 5


def test_ingredients_name_siren_and_backgrounds(
    corpus: tuple[list[Recording], PcmCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, _ = corpus
    only(monkeypatch, REAL)
    for number in range(10):
        kinds = [recordings[row].is_siren for row in renderer(corpus, pool()).render(number).ingredients]
        assert kinds.count(True) == 1
        assert kinds.count(False) in (1, 2)
    only(monkeypatch, TRAP)
    assert not any(recordings[row].is_siren for row in renderer(corpus, pool()).render(0).ingredients)


def test_without_a_pool_and_without_sirens_there_are_backgrounds_alone(
    corpus: tuple[list[Recording], PcmCache], monkeypatch: pytest.MonkeyPatch
) -> None:
    recordings, cache = corpus
    quiet = [replace(one, labels=frozenset()) for one in recordings]
    for kind in (REAL, MADE, TRAP):
        only(monkeypatch, kind)
        assert not renderer((quiet, cache), []).render(0).active.any()
