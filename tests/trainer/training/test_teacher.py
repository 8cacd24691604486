"""The teacher's scores become extra targets and judge real sirens; nothing of it stays in the model."""

import sys
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from support.tiny_corpus import TINY_RECIPE, make_corpus, write_recipe  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.corpus.cache import PcmCache  # noqa: E402
from earshot_trainer.corpus.recordings import Recording, load_manifest  # noqa: E402
from earshot_trainer.segments.sounds import gather_sounds  # noqa: E402
from earshot_trainer.training.command import load_network  # noqa: E402
from earshot_trainer.training.lineage import Origin  # noqa: E402
from earshot_trainer.training.recipe import Recipe, load_recipe  # noqa: E402
from earshot_trainer.training.teacher import (  # noqa: E402
    HOP_SAMPLES,
    Teacher,
    ask_teacher,
    check_classes,
    siren_column,
)
from earshot_trainer.training.train import train  # noqa: E402

TAUGHT = TINY_RECIPE + "teacher: {model: none, classes: [Noise, Loud], least_siren_score: 0.5}\n"


class LoudnessTagger:
    """Hears a siren in what is loud and noise in what is not; counts how often it is asked."""

    classes: tuple[str, ...] = ("Loud", "Siren", "Noise")
    digest = "ab" * 32

    def __init__(self) -> None:
        self.asked = 0

    def score(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
        self.asked += 1
        rows = [samples[start : start + HOP_SAMPLES] for start in range(0, len(samples), HOP_SAMPLES)]
        loud = np.array([np.abs(row.astype(float)).max() > 8000 for row in rows], dtype=np.float32)
        return np.stack([loud, loud, 1 - loud], axis=1)


@pytest.fixture
def corpus(tmp_path: Path) -> tuple[list[Recording], PcmCache]:
    recordings = load_manifest(make_corpus(tmp_path / "corpus", sirens=2, negatives=2))
    cache = PcmCache(tmp_path / "cache")
    cache.add(recordings)
    return recordings, cache


def taught_recipe(folder: Path, text: str = TAUGHT) -> Recipe:
    return load_recipe(write_recipe(folder, text))


def test_negatives_get_the_recipe_s_classes_in_its_order_and_sirens_their_siren_score(
    tmp_path: Path, corpus: tuple[list[Recording], PcmCache]
) -> None:
    recordings, cache = corpus
    recipe = taught_recipe(tmp_path).teacher
    assert recipe is not None
    opinion = ask_teacher(LoudnessTagger(), recipe, recordings, cache, tmp_path)
    siren, noise = str(recordings[0].path), str(recordings[-1].path)
    assert opinion.sirens[siren][0].tolist() == [1.0]
    assert opinion.classes[noise][0].tolist() == [1.0, 0.0]
    assert siren not in opinion.classes


def test_scores_are_asked_for_once_and_then_read_from_disk(
    tmp_path: Path, corpus: tuple[list[Recording], PcmCache]
) -> None:
    recordings, cache = corpus
    recipe = taught_recipe(tmp_path).teacher
    assert recipe is not None
    first, second = LoudnessTagger(), LoudnessTagger()
    ask_teacher(first, recipe, recordings, cache, tmp_path)
    ask_teacher(second, recipe, recordings, cache, tmp_path)
    assert (first.asked, second.asked) == (4, 0)


def test_siren_that_the_teacher_does_not_hear_is_not_learnt_from(
    tmp_path: Path, corpus: tuple[list[Recording], PcmCache]
) -> None:
    recordings, cache = corpus

    def learnt(text: str, tagger: LoudnessTagger) -> int:
        recipe = taught_recipe(tmp_path, text)
        assert recipe.teacher is not None
        opinion = ask_teacher(tagger, recipe.teacher, recordings, cache, tmp_path / tagger.digest[:4])
        sounds = gather_sounds(recordings, cache, recipe, tmp_path / "cache", opinion=opinion)
        return len(sounds.sirens) // (1 + recipe.mixing.streets + recipe.mixing.towns)

    class DeafTagger(LoudnessTagger):
        digest = "cd" * 32

        def score(self, samples: npt.NDArray[np.int16]) -> npt.NDArray[np.float32]:
            scores = super().score(samples)
            scores[:, 1] = 0.1 if self.asked == 1 else scores[:, 1]
            return scores

    assert learnt(TAUGHT, LoudnessTagger()) == 2
    assert learnt(TAUGHT, DeafTagger()) == 1
    assert learnt(TAUGHT.replace("least_siren_score: 0.5", "least_siren_score: 0.0"), DeafTagger()) == 2


def test_trained_model_has_no_output_that_only_the_teacher_needed(
    tmp_path: Path, corpus: tuple[list[Recording], PcmCache]
) -> None:
    recordings, cache = corpus
    recipe = taught_recipe(tmp_path)
    assert recipe.teacher is not None
    opinion = ask_teacher(LoudnessTagger(), recipe.teacher, recordings, cache, tmp_path)
    sounds = gather_sounds(recordings, cache, recipe, tmp_path / "cache", opinion=opinion)
    model = train(recipe, sounds, Origin("ab" * 32, "test"), tmp_path / "run", torch.device("cpu"))
    network = load_network(model)
    assert network.config.labels == ("siren",)
    assert network.output.weight.shape[0] == 1


def test_class_that_the_teacher_does_not_know_is_named(tmp_path: Path) -> None:
    recipe = taught_recipe(tmp_path, TAUGHT.replace("Loud]", "Unicorn]")).teacher
    assert recipe is not None
    with pytest.raises(OperatorError, match="does not know 'Unicorn'"):
        check_classes(LoudnessTagger(), recipe)


def test_siren_score_is_the_greatest_of_the_siren_classes() -> None:
    tagger = LoudnessTagger()
    tagger.classes = ("Siren", "Emergency vehicle", "Dog")
    scores = np.array([[0.1, 0.7, 0.9], [0.4, 0.2, 0.0]], dtype=np.float32)
    assert siren_column(tagger, scores).tolist() == pytest.approx([0.7, 0.4])


def test_missing_interpreter_says_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("yamnet.tflite", "yamnet_class_map.csv"):
        (tmp_path / name).write_bytes(b"")
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(OperatorError, match=r"scripts/trainer or `pip install -e '\.\[trainer,teacher\]'`"):
        Teacher(tmp_path / "yamnet.tflite")
