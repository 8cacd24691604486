from pathlib import Path

import pytest
from support.tiny_corpus import TINY_RECIPE, write_recipe

from earshot_node.errors import ConfigError
from earshot_trainer.training.recipe import Recipe, load_recipe


def test_every_shipped_recipe_loads(repository: Path) -> None:
    paths = sorted((repository / "config" / "recipes").glob("*.yaml"))
    recipes = [load_recipe(path) for path in paths]
    assert "siren" in [recipe.name for recipe in recipes]
    assert all(recipe.model.labels[0] == "siren" for recipe in recipes)


def test_recipe_survives_a_round_trip_through_json(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path))
    assert Recipe.model_validate(recipe.to_dict()) == recipe


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (TINY_RECIPE + "learning_rate: 1\n", "learning_rate: Extra inputs"),
        (TINY_RECIPE.replace("steps: 12", "stepps: 12"), "training.stepps"),
        (TINY_RECIPE.replace("steps: 12", "steps: 0"), "training.steps"),
        (TINY_RECIPE.replace("hidden: 8", "hiden: 8"), "unknown key hiden"),
        (TINY_RECIPE.replace("n_mels: 32", "n_mels: 33"), "n_mels"),
        (TINY_RECIPE.replace("{sirens: 2", "{kind_shares: {howl: 1}, sirens: 2"), "kind_shares"),
        ("- a list\n", "expected a mapping"),
        ("name: [\n", "no YAML"),
    ],
)
def test_wrong_recipe_is_one_line_that_names_the_key(tmp_path: Path, text: str, expected: str) -> None:
    path = write_recipe(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(path)
    assert expected in str(caught.value)
    assert "tiny.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_override_replaces_one_value(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), ("training.steps=5", "mining.strength=0"))
    assert (recipe.training.steps, recipe.training.seed, recipe.mining.strength) == (5, 3, 0.0)


@pytest.mark.parametrize("override", ["training.steps", "=5", "training.steps.more=1"])
def test_malformed_override_is_an_error(tmp_path: Path, override: str) -> None:
    with pytest.raises(ConfigError, match="override"):
        load_recipe(write_recipe(tmp_path), (override,))


def test_absent_recipe_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read recipe"):
        load_recipe(tmp_path / "none.yaml")


def test_recipe_extends_another_and_replaces_single_values(repository: Path, tmp_path: Path) -> None:
    recipes = repository / "config" / "recipes"
    own, first = load_recipe(recipes / "siren-own.yaml"), load_recipe(recipes / "siren.yaml")
    assert (own.name, own.training.seed, own.training.batch_size) == ("siren-own", 2, 24)
    assert first.distillation is not None
    assert own.distillation is None
    assert (own.model.tagger_layers, own.model.level_s) == (0, first.model.level_s)
    assert (own.mixing, own.synthetic, own.teacher) == (first.mixing, first.synthetic, first.teacher)
    (tmp_path / "lost.yaml").write_text("extends: nowhere.yaml\nname: lost\n")
    with pytest.raises(ConfigError, match=r"cannot read recipe .*nowhere\.yaml"):
        load_recipe(tmp_path / "lost.yaml")


def test_recipe_extends_one_that_extends_another(tmp_path: Path) -> None:
    write_recipe(tmp_path)
    (tmp_path / "longer.yaml").write_text("extends: tiny.yaml\nname: longer\ntraining: {steps: 20, seed: 7}\n")
    (tmp_path / "last.yaml").write_text("extends: longer.yaml\nname: last\ntraining: {steps: 30}\n")
    tiny, longer, last = (load_recipe(tmp_path / f"{name}.yaml") for name in ("tiny", "longer", "last"))
    assert (last.training.steps, last.training.seed) == (30, 7)
    assert (last.name, last.mixing, last.model) == ("last", longer.mixing, tiny.model)


def test_recipes_that_extend_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match=r"b\.yaml: extends a\.yaml, which extends it in turn"):
        load_recipe(tmp_path / "a.yaml")


def test_layers_of_a_tagger_without_one_are_an_error(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, TINY_RECIPE.replace("n_mels: 32", "n_mels: 64\n  tagger_layers: 7"))
    with pytest.raises(ConfigError, match="needs a teacher to take them from"):
        load_recipe(path)


def test_distillation_without_a_teacher_is_an_error(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, TINY_RECIPE + "distillation: {mixtures: 10}\n")
    with pytest.raises(ConfigError, match="distillation needs a teacher"):
        load_recipe(path)
