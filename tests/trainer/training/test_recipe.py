from pathlib import Path

import pytest
from support.tiny_corpus import TINY_RECIPE, write_recipe

from earshot_node.errors import ConfigError
from earshot_trainer.training.recipe import Recipe, load_recipe

RECIPE_CHAIN = ("siren", "siren-longer", "siren-distilled")


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
    longer, first = load_recipe(recipes / "siren-longer.yaml"), load_recipe(recipes / "siren.yaml")
    assert (longer.name, longer.training.seed, longer.training.batch_size) == ("siren-longer", 2, 24)
    assert longer.training.steps > first.training.steps
    assert (longer.model, longer.teacher) == (first.model, first.teacher)
    assert longer.synthetic.kind_shares == first.synthetic.kind_shares | {"air_horn": 0.0}
    (tmp_path / "lost.yaml").write_text("extends: nowhere.yaml\nname: lost\n")
    with pytest.raises(ConfigError, match=r"cannot read recipe .*nowhere\.yaml"):
        load_recipe(tmp_path / "lost.yaml")


def test_recipe_extends_one_that_extends_another(repository: Path) -> None:
    recipes = {name: load_recipe(repository / "config" / "recipes" / f"{name}.yaml") for name in RECIPE_CHAIN}
    base, longer, distilled = (recipes[name] for name in RECIPE_CHAIN)
    assert distilled.mixing == longer.mixing != base.mixing
    assert (distilled.model.level_s, base.model.level_s) == (3.0, 0.0)
    assert distilled.distillation is not None


def test_recipes_that_extend_each_other_are_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ConfigError, match=r"b\.yaml: extends a\.yaml, which extends it in turn"):
        load_recipe(tmp_path / "a.yaml")


def test_distillation_without_a_teacher_is_an_error(tmp_path: Path) -> None:
    path = write_recipe(tmp_path, TINY_RECIPE + "distillation: {mixtures: 10}\n")
    with pytest.raises(ConfigError, match="distillation needs a teacher"):
        load_recipe(path)
