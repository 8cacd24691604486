"""The real tagger: rebuilt in torch it scores as its file does, and a run learns from what it heard."""

import fcntl
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import TINY_RECIPE, make_corpus, write_recipe  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_node.synth.reference import reference_clips  # noqa: E402
from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import load_manifest  # noqa: E402
from earshot_trainer.distillation.store import PIECE, hear_mixtures  # noqa: E402
from earshot_trainer.distillation.tagger import EmbeddingTagger  # noqa: E402
from earshot_trainer.network.architecture import TAGGER_FROZEN_LAYERS  # noqa: E402
from earshot_trainer.training import command  # noqa: E402
from earshot_trainer.training.checkpoint import load_checkpoint  # noqa: E402
from earshot_trainer.training.command import RunRequest, load_network, run_training  # noqa: E402
from earshot_trainer.training.recipe import load_recipe  # noqa: E402
from earshot_trainer.training.teacher import WINDOW_SAMPLES, Teacher, siren_column  # noqa: E402


@pytest.fixture(scope="module")
def teacher(tagger_file: Path) -> Teacher:
    return Teacher(tagger_file)


def distilling(teacher: Teacher, folder: Path) -> Path:
    text = TINY_RECIPE + f"teacher: {{model: {teacher.path}, classes: []}}\n"
    return write_recipe(folder, text + f"distillation: {{mixtures: {PIECE}, batch_size: 4, components: 5}}\n")


def test_rebuilt_tagger_hears_sirens_as_its_file_does(teacher: Teacher) -> None:
    rebuilt = EmbeddingTagger.open(teacher)
    windows = np.stack(
        [clip.samples[:WINDOW_SAMPLES] for clip in reference_clips() if len(clip.samples) > WINDOW_SAMPLES]
    )
    embeddings = rebuilt.embed(torch.from_numpy(windows), 48)
    logits = rebuilt.classes.logits(embeddings[:, 0].numpy())
    ours = 1.0 / (1.0 + np.exp(-logits[:, rebuilt.classes.sirens].max(axis=1)))
    theirs = np.array(
        [
            siren_column(teacher, teacher.score((window * 32767).astype(np.int16)[:WINDOW_SAMPLES]))[0]
            for window in windows
        ]
    )
    assert embeddings.shape == (len(windows), 1, 1024)
    assert logits.shape == (len(windows), 521)
    assert len(windows) >= 4
    assert theirs.max() - theirs.min() > 0.3
    assert np.abs(ours - theirs).max() < 0.1


def test_windows_of_a_long_mixture_are_those_of_its_parts(teacher: Teacher) -> None:
    rebuilt = EmbeddingTagger.open(teacher)
    samples = torch.randn(1, 48_000, generator=torch.Generator().manual_seed(1)) * 0.05
    whole = rebuilt.embed(samples, 48)
    part = rebuilt.embed(samples[:, 2 * 7680 : 2 * 7680 + WINDOW_SAMPLES], 48)
    assert torch.allclose(whole[:, 2], part[:, 0], atol=1e-4)


def test_another_network_is_refused_in_one_line(teacher: Teacher, tmp_path: Path) -> None:
    broken = Teacher(teacher.path)
    broken.path = tmp_path / "other.tflite"
    broken.path.write_bytes(b"\x18\x00\x00\x00TFL3" + bytes(200))
    with pytest.raises(
        OperatorError, match=r"not the tagger that distillation knows .* train without it: .*siren-own"
    ) as caught:
        EmbeddingTagger.open(broken)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_run_learns_from_mixtures_that_are_heard_once(teacher: Teacher, tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path / "corpus")
    recipe = distilling(teacher, tmp_path)

    def run(out: str) -> dict[str, "torch.Tensor"]:
        request = RunRequest(
            recipe, (str(manifest),), tmp_path / out, device="cpu", threads=1, cache=tmp_path / "cache"
        )
        model = run_training(request)
        assert load_network(model).config.labels == ("siren",)
        values: dict[str, torch.Tensor] = load_checkpoint(model)["network"]
        return values

    first = run("first")
    (pieces,) = (tmp_path / "cache").glob("heard-*")
    made = {path.name: path.stat().st_mtime_ns for path in pieces.iterdir()}
    second = run("second")
    assert len(made) == 2
    assert made == {path.name: path.stat().st_mtime_ns for path in pieces.iterdir()}
    assert all(torch.equal(first[name], second[name]) for name in first)
    record = json.loads((tmp_path / "first" / "run.json").read_text())
    assert record["recipe"]["distillation"]["components"] == 5
    assert record["teacher"]["name"] == "YAMNet"


@pytest.mark.slow
def test_trainings_that_begin_together_hear_one_after_the_other(
    teacher: Teacher, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second finds what the first has heard, and does not hear all of it beside it."""
    cache, heard = tmp_path / "cache", []

    def hear(*arguments: Any) -> Any:
        with (cache / "preparing.lock").open("w") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        heard.append(hear_mixtures(*arguments))
        return heard[-1]

    monkeypatch.setattr(command, "hear_mixtures", hear)
    manifest = make_corpus(tmp_path / "corpus")
    recipe = distilling(teacher, tmp_path)
    run_training(RunRequest(recipe, (str(manifest),), tmp_path / "run", device="cpu", threads=1, cache=cache))
    assert len(heard) == 1


@pytest.mark.slow
def test_run_begins_with_the_taggers_layers_and_goes_on_from_a_checkpoint(teacher: Teacher, tmp_path: Path) -> None:
    manifest = make_corpus(tmp_path / "corpus")
    text = TINY_RECIPE.replace("n_mels: 32", "n_mels: 64\n  tagger_layers: 9")
    recipe = write_recipe(tmp_path, text + f"teacher: {{model: {teacher.path}, classes: []}}\n")
    request = RunRequest(recipe, (str(manifest),), tmp_path / "run", device="cpu", threads=1, cache=tmp_path / "cache")
    tagger = load_network(run_training(request)).tagger
    assert tagger is not None
    theirs = EmbeddingTagger.open(teacher).convolutions
    moved = [
        not torch.equal(layer.conv.weight, convolution.weight)
        for layer, convolution in zip(tagger.layers, theirs, strict=False)
    ]
    assert moved == [number >= TAGGER_FROZEN_LAYERS for number in range(9)]
    values = load_checkpoint(tmp_path / "run" / "checkpoint.pt")
    assert (tmp_path / "run" / "checkpoint.pt").stat().st_size < 8_000_000
    torch.save(values | {"steps_done": 8}, tmp_path / "run" / "checkpoint.pt")
    again = load_network(run_training(request)).tagger
    assert again is not None
    assert torch.equal(again.layers[0].conv.weight, theirs[0].weight)


@pytest.mark.slow
def test_piece_that_was_not_finished_is_made_again_as_it_was(teacher: Teacher, tmp_path: Path) -> None:
    recordings = load_manifest(make_corpus(tmp_path / "corpus"))
    recipe = load_recipe(distilling(teacher, tmp_path))
    PcmCache(tmp_path / "cache").add(recordings)
    whole = hear_mixtures(recordings, recipe, teacher, tmp_path / "cache", processes=1)
    (valid,) = (tmp_path / "cache").glob("heard-*/*.npz")
    valid.unlink()
    done: list[int] = []
    again = hear_mixtures(recordings, recipe, teacher, tmp_path / "cache", done.append, processes=1)
    assert done == [0, PIECE]
    assert np.array_equal(whole.embeddings, again.embeddings)
    assert np.array_equal(whole.frames_of(17), again.frames_of(17))
