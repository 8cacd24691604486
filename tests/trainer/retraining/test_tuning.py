"""Fine-tuning with a tiny network: resumes as if never interrupted, moves as far as it may."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.tiny_corpus import make_corpus, write_recipe

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import load_manifest
from earshot_trainer.retraining.settings import TuningSettings, load_settings
from earshot_trainer.segments.sounds import Sounds, gather_sounds
from earshot_trainer.segments.synthetic import load_pool
from earshot_trainer.training.recipe import load_recipe

pytestmark = pytest.mark.torch
SETTINGS = load_settings(
    ("tuning.steps=6", "tuning.batch_size=4", "tuning.checkpoint_every_steps=2", "tuning.learning_rate=0.01")
).tuning


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Sounds]:
    """Values of an untrained checkpoint, and sounds of a tiny corpus."""
    import json

    import torch

    from earshot_trainer.network.model import StreamingCrnn

    folder = tmp_path_factory.mktemp("tuning")
    recipe = load_recipe(write_recipe(folder), ("mixing.streets=0",))
    recordings = load_manifest(make_corpus(folder / "corpus"))
    cache = PcmCache(folder / "cache")
    cache.add(recordings)
    pool = load_pool(recipe.synthetic, 1, folder / "cache")
    torch.manual_seed(1)
    network = StreamingCrnn(recipe.model)
    values = {
        "network": network.state_dict(),
        "config": recipe.model.to_dict(),
        "recipe": json.dumps(recipe.to_dict()),
    }
    return values, gather_sounds(recordings, cache, recipe, folder / "cache", pool)


def tuned(
    base: tuple[dict[str, Any], Sounds],
    out: Path,
    settings: TuningSettings = SETTINGS,
    added: dict[str, Sounds] | None = None,
) -> dict[str, Any]:
    from earshot_trainer.retraining.tuning import TuningSounds, tune
    from earshot_trainer.training.checkpoint import load_checkpoint

    out.mkdir(exist_ok=True)
    path = tune(base[0], settings, 1, TuningSounds(base[1], base[1], added or {}), out, "origin")
    values: dict[str, Any] = load_checkpoint(path)["network"]
    return values


def difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    return max(float((first[name].double() - second[name].double()).abs().max()) for name in first)


class StoppedError(Exception):
    """Stands for a power cut."""


def test_interrupted_training_ends_as_an_uninterrupted_one(base: tuple[dict[str, Any], Sounds], tmp_path: Path) -> None:
    from earshot_trainer.retraining.tuning import TuningSounds, tune

    def stop_at_five(step: Any) -> None:
        if step.step == 5:
            raise StoppedError

    whole = tuned(base, tmp_path / "whole")
    (tmp_path / "cut").mkdir()
    with pytest.raises(StoppedError):
        tune(base[0], SETTINGS, 1, TuningSounds(base[1], base[1]), tmp_path / "cut", "origin", stop_at_five)
    assert (tmp_path / "cut" / "checkpoint.pt").exists()
    assert difference(tuned(base, tmp_path / "cut"), whole) < 1e-6
    assert not (tmp_path / "cut" / "checkpoint.pt").exists()


def test_checkpoint_of_other_recordings_is_not_gone_on_from(
    base: tuple[dict[str, Any], Sounds], tmp_path: Path
) -> None:
    from earshot_trainer.retraining.tuning import Tuner
    from earshot_trainer.training.checkpoint import save_atomically

    tuner = Tuner(base[0], SETTINGS, 1)
    save_atomically(tuner.state_dict() | {"origin": "other", "done": 4}, tmp_path / "checkpoint.pt")
    assert tuner.resume(tmp_path / "checkpoint.pt", "origin") == 0
    assert tuner.resume(tmp_path / "checkpoint.pt", "other") == 4


def test_result_lies_between_base_and_tuned_weights_and_keeps_the_statistics(
    base: tuple[dict[str, Any], Sounds], tmp_path: Path
) -> None:
    whole = tuned(base, tmp_path / "1", SETTINGS.model_copy(update={"blend": 1.0}))
    half = tuned(base, tmp_path / "2", SETTINGS.model_copy(update={"blend": 0.5}))
    none = tuned(base, tmp_path / "3", SETTINGS.model_copy(update={"blend": 0.0}))
    network = base[0]["network"]
    assert difference(none, network) == 0
    assert difference(whole, network) > 0.01
    assert difference({name: (whole[name] + network[name]) / 2 for name in network}, half) < 1e-6
    kept = [name for name in network if "running" in name or name in ("mean", "std")]
    assert len(kept) > 5
    assert difference({name: whole[name] for name in kept}, network) == 0


def test_siren_frames_count_where_the_base_hears_one_best(base: tuple[dict[str, Any], Sounds]) -> None:
    from earshot_trainer.retraining.tuning import only_audible

    values, sounds = base
    everything = only_audible(sounds, values, 1e3)
    best = only_audible(sounds, values, 1e-6)
    for before, wide, narrow in zip(sounds.sirens, everything.sirens, best.sirens, strict=True):
        assert np.array_equal(before.active, wide.active)
        assert 1 <= narrow.active[: len(narrow.active) - 1].sum() <= 3
        assert not (narrow.active & ~before.active).any()


def test_backgrounds_are_the_households_own_by_their_share(base: tuple[dict[str, Any], Sounds]) -> None:
    from earshot_trainer.retraining.tuning import drawn_from

    sounds = base[1]
    mine = {sounds.spans[0].recording}
    drawn = drawn_from(sounds, mine, 0.3)
    is_mine = np.array([span.recording in mine for span in sounds.spans])
    assert not is_mine.all()
    assert drawn.span_odds[is_mine].sum() == pytest.approx(0.3)
    assert drawn.span_odds.sum() == pytest.approx(1.0)
    assert drawn_from(sounds, (), 0.3) is sounds
    assert drawn_from(sounds, [span.recording for span in sounds.spans], 0.3) is sounds


def test_what_is_replayed_keeps_the_bases_log_odds(base: tuple[dict[str, Any], Sounds], tmp_path: Path) -> None:
    import torch

    from earshot_trainer.training.command import load_network
    from earshot_trainer.training.train import MODEL_NAME

    def said(folder: Path) -> "torch.Tensor":
        frames = torch.from_numpy(base[1].bank.of(base[1].spans[0].sound).astype("float32"))
        with torch.no_grad():
            return load_network(folder / MODEL_NAME)(frames[None, : len(frames) // 4 * 4])[0]

    moved = {}
    for name, changes in {"base": {"blend": 0.0}, "free": {"keep_weight": 0.0}, "kept": {"keep_weight": 30.0}}.items():
        own_only = {"own_keep_weight": 0.0, "steps": 12}
        tuned(base, tmp_path / name, SETTINGS.model_copy(update=own_only | changes))
        moved[name] = said(tmp_path / name)
    distances = {name: float((moved[name] - moved["base"]).abs().mean()) for name in ("free", "kept")}
    assert distances["free"] > 0.05
    assert distances["kept"] < 0.5 * distances["free"]


def bells(sounds: Sounds) -> dict[str, Sounds]:
    """The tones of the corpus as a label that the base does not know."""
    return {"doorbell": replace(sounds, synthetic_sirens=())}


def test_added_label_is_an_output_behind_those_that_stay(base: tuple[dict[str, Any], Sounds], tmp_path: Path) -> None:
    import torch

    from earshot_trainer.training.command import load_network

    settings = SETTINGS.model_copy(update={"blend": 0.0, "label_segments": 2})
    values, network = tuned(base, tmp_path / "grown", settings, bells(base[1])), base[0]["network"]
    assert load_network(tmp_path / "grown" / "model.pt").config.labels == ("siren", "doorbell")
    assert set(values) == set(network)
    assert values["output.weight"].shape[0] == 2
    assert torch.equal(values["output.weight"][:1], network["output.weight"])
    assert (
        difference(
            {name: value[:1] if name.startswith("output.") else value for name, value in values.items()}, network
        )
        == 0
    )
    assert float(values["output.weight"][1].abs().max()) > 0.01


def test_added_label_is_told_from_what_is_without_it(base: tuple[dict[str, Any], Sounds], tmp_path: Path) -> None:
    import torch

    from earshot_trainer.training.command import load_network

    sounds = base[1]
    settings = SETTINGS.model_copy(update={"steps": 120, "label_segments": 6})
    tuned(base, tmp_path / "grown", settings, bells(sounds))
    network = load_network(tmp_path / "grown" / "model.pt").eval()

    def loudest(number: int) -> float:
        frames = torch.from_numpy(sounds.bank.of(number).astype("float32"))
        with torch.no_grad():
            return float(network(frames[None, : len(frames) // 4 * 4])[0][0, :, 1].max())

    tones = [loudest(siren.sound) for siren in sounds.sirens]
    noises = [loudest(span.sound) for span in sounds.spans]
    assert min(tones) > max(noises) + 1.0


def test_known_label_is_taught_and_the_others_stay(base: tuple[dict[str, Any], Sounds], tmp_path: Path) -> None:
    import torch

    from earshot_trainer.retraining.growing import with_labels
    from earshot_trainer.training.command import load_network
    from earshot_trainer.training.train import MODEL_NAME

    values, sounds = base
    generator = torch.Generator().manual_seed(2)
    rows = {"output.weight": torch.randn(2, 8, generator=generator) * 0.1, "output.bias": torch.tensor([-3.0, -3.0])}
    network = values["network"] | {name: torch.cat([values["network"][name], row]) for name, row in rows.items()}
    knowing = ({"network": network} | with_labels(values, ("cat", "doorbell")), sounds)
    settings = SETTINGS.model_copy(
        update={"steps": 120, "label_segments": 6, "keep_weight": 30.0, "blend": 1.0, "own_weight": 3.0}
    )

    def said(folder: Path, number: int) -> "torch.Tensor":
        frames = torch.from_numpy(sounds.bank.of(number).astype("float32"))
        with torch.no_grad():
            return load_network(folder / MODEL_NAME)(frames[None, : len(frames) // 4 * 4])[0][0]

    tuned(knowing, tmp_path / "as_it_was", settings.model_copy(update={"blend": 0.0}))
    tuned(knowing, tmp_path / "untaught", settings)
    tuned(knowing, tmp_path / "taught", settings, bells(sounds))
    assert load_network(tmp_path / "taught" / MODEL_NAME).config.labels == ("siren", "cat", "doorbell")
    tones, noises = [siren.sound for siren in sounds.sirens], [span.sound for span in sounds.spans]
    apart = {
        name: min(float(said(tmp_path / name, tone)[:, 2].max()) for tone in tones)
        - max(float(said(tmp_path / name, noise)[:, 2].max()) for noise in noises)
        for name in ("as_it_was", "untaught", "taught")
    }
    assert apart["taught"] > max(apart["as_it_was"], apart["untaught"]) + 1.0
    moved = [(said(tmp_path / "taught", noise) - said(tmp_path / "as_it_was", noise))[13:] for noise in noises]
    assert float(torch.cat(moved)[:, 1].abs().mean()) < 0.3


def test_interrupted_training_with_an_added_label_ends_as_an_uninterrupted_one(
    base: tuple[dict[str, Any], Sounds], tmp_path: Path
) -> None:
    from earshot_trainer.retraining.tuning import TuningSounds, tune

    def stop_at_five(step: Any) -> None:
        if step.step == 5:
            raise StoppedError

    added = bells(base[1])
    whole = tuned(base, tmp_path / "whole", added=added)
    (tmp_path / "cut").mkdir()
    with pytest.raises(StoppedError):
        tune(base[0], SETTINGS, 1, TuningSounds(base[1], base[1], added), tmp_path / "cut", "origin", stop_at_five)
    assert difference(tuned(base, tmp_path / "cut", added=added), whole) < 1e-6


def test_sounds_of_another_label_stand_in_the_place_of_sirens(tmp_path: Path) -> None:
    recipe = load_recipe(write_recipe(tmp_path), ("mixing.streets=0",))
    recordings = load_manifest(make_corpus(tmp_path / "corpus", sirens=3, negatives=2))
    recordings[0] = replace(recordings[0], labels=frozenset({"siren", "doorbell"}))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    sounds = gather_sounds(recordings, cache, recipe, tmp_path / "cache", label="doorbell")
    assert len(sounds.sirens) == 1
    assert [span.recording.name for span in sounds.spans] == [one.name for one in recordings[1:]]
    with pytest.raises(OperatorError, match="no horn to learn from"):
        gather_sounds(recordings, cache, recipe, tmp_path / "cache", label="horn")
