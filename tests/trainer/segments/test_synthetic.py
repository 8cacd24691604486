from pathlib import Path

import numpy as np
import pytest

from earshot_trainer.segments import synthetic
from earshot_trainer.training.recipe import SyntheticRecipe

TINY = SyntheticRecipe(sirens=2, traps=1, length_s=1.0)


def test_pool_has_the_number_length_and_kinds_asked_for() -> None:
    pool = synthetic.render_pool(TINY, seed=1)
    assert [sound.is_siren for sound in pool] == [True, True, False]
    assert all(len(sound.samples) == 16_000 and sound.samples.dtype == np.int16 for sound in pool)
    assert all(int(np.abs(sound.samples).max()) > 1000 for sound in pool)


def test_seed_fixes_the_pool() -> None:
    first, again, other = (synthetic.render_pool(TINY, seed=seed)[0].samples for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_shares_choose_the_kinds() -> None:
    recipe = SyntheticRecipe(sirens=6, traps=0, length_s=0.5, kind_shares={"hilo": 1.0, "yelp": 0.0})
    assert {sound.kind for sound in synthetic.render_pool(recipe, seed=1)} == {"hilo"}


def test_pool_is_rendered_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = synthetic.load_pool(TINY, 1, tmp_path)
    monkeypatch.setattr(synthetic, "render_pool", lambda *_: pytest.fail("rendered again"))
    again = synthetic.load_pool(TINY, 1, tmp_path)
    assert [sound.kind for sound in again] == [sound.kind for sound in first]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))
    assert not [path for path in tmp_path.iterdir() if path.is_dir()]


def test_another_seed_is_another_pool(tmp_path: Path) -> None:
    first = synthetic.load_pool(TINY, 1, tmp_path)
    second = synthetic.load_pool(TINY, 2, tmp_path)
    assert not np.array_equal(first[0].samples, second[0].samples)


def test_empty_pool_loads(tmp_path: Path) -> None:
    assert synthetic.load_pool(SyntheticRecipe(sirens=0, traps=0), 1, tmp_path) == []


def test_music_is_a_trap_of_the_same_length() -> None:
    pool = synthetic.render_pool(SyntheticRecipe(sirens=1, traps=0, music=2, length_s=1.0), seed=1)
    assert [sound.is_siren for sound in pool] == [True, False, False]
    assert all(sound.kind.startswith("music, ") for sound in pool[1:])
    assert {len(sound.samples) for sound in pool} == {16_000}
    assert not np.array_equal(pool[1].samples, pool[2].samples)


def test_shares_choose_the_places(monkeypatch: pytest.MonkeyPatch) -> None:
    places: list[str] = []

    def heard_in(name: str) -> None:
        real = getattr(synthetic, name)
        monkeypatch.setattr(synthetic, name, lambda *given: (places.append(name), real(*given))[1])

    heard_in("random_town")
    heard_in("random_street")

    def drawn(town_share: float, street_share: float) -> set[str]:
        places.clear()
        recipe = SyntheticRecipe(sirens=24, traps=0, length_s=0.5, kind_shares={"hilo": 1.0})
        places_of_it = {"town_share": town_share, "street_share": street_share}
        pool = synthetic.render_pool(recipe.model_copy(update=places_of_it), seed=1)
        assert len(places) <= len(pool) == 24
        return set(places)

    assert drawn(0.0, 0.0) == set()
    assert drawn(1.0, 1.0) == {"random_town"}
    assert drawn(0.5, 1.0) == {"random_town", "random_street"}
    assert len(places) == 24
