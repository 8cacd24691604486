"""A household's lessons move the output of a second opinion, and what was known stays what it was."""

from pathlib import Path

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import onnxruntime  # noqa: E402
from support.toy_tagger import hearing_as_the_tagger  # noqa: E402

from earshot_trainer.retraining.second_output import Lessons, OwnSound, teach  # noqa: E402
from earshot_trainer.retraining.settings import TuningSettings  # noqa: E402
from earshot_trainer.second_opinion.exporting import export_second  # noqa: E402
from earshot_trainer.second_opinion.network import SecondOpinion  # noqa: E402
from earshot_trainer.second_opinion.output_layer import Embedder, output_of, with_output  # noqa: E402
from earshot_trainer.second_opinion.refitting import Windows, refit_output  # noqa: E402

pytestmark = pytest.mark.torch
WIDTHS = (32, *[64] * 13)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> onnx.ModelProto:
    """A narrow network of random weights; its output is far from zero, as a trained one's is."""
    torch.manual_seed(1)
    network = SecondOpinion(WIDTHS, 2).eval()
    for layer in network.layers:
        torch.nn.init.kaiming_normal_(layer.conv.weight)
    path = tmp_path_factory.mktemp("second") / "second.onnx"
    weights = np.random.default_rng(1).normal(0, 0.3, (2, WIDTHS[-1])).astype(np.float32)
    network.set_output(weights, np.array([-1.0, 0.5], np.float32))
    export_second(network, path, ("siren", "dog"))
    return onnx.load(path)


def logits(second: onnx.ModelProto, windows: np.ndarray) -> np.ndarray:
    (found,) = onnxruntime.InferenceSession(second.SerializeToString()).run(None, {"windows": windows})
    return np.asarray(found)


def test_graph_gives_what_its_output_makes_of_its_embeddings(second: onnx.ModelProto) -> None:
    windows = np.random.default_rng(2).normal(-1, 1, (5, 96, 64)).astype(np.float32)
    embeddings = Embedder(second)(torch.from_numpy(windows)).numpy()
    weight, bias = output_of(second)
    np.testing.assert_allclose(logits(second, windows), embeddings @ weight.T + bias, atol=1e-4)
    other = with_output(second, -weight, bias + 2.5)
    np.testing.assert_allclose(logits(other, windows), bias + 2.5 - embeddings @ weight.T, atol=1e-4)
    assert output_of(second)[1].tolist() == [-1.0, 0.5]


def embeddings_of_a_household(seed: int = 3) -> tuple[Windows, np.ndarray, float]:
    """Sirens and others of the household that differ where the output looks little; known ones on both sides."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(0, 0.3, 64).astype(np.float32)
    known = np.maximum(rng.normal(0, 1, (600, 64)), 0).astype(np.float32)
    apart = rng.normal(0, 1, 64)
    apart -= weight * (apart @ weight) / (weight @ weight)
    sirens, others = (
        (np.maximum(rng.normal(0, 1, (60, 64)), 0) + sign * 0.7 * apart).astype(np.float32) for sign in (1, -1)
    )
    return Windows(sirens, others, known), weight, -2.0


def test_households_windows_are_told_apart_and_known_ones_stay_where_they_were() -> None:
    windows, weight, bias = embeddings_of_a_household()
    new_weight, new_bias = refit_output(weight, bias, windows, 1.0, 2.0)

    def right(weight: np.ndarray, bias: float) -> float:
        return float((np.mean(windows.sirens @ weight + bias > 0) + np.mean(windows.others @ weight + bias < 0)) / 2)

    moved = windows.known @ new_weight + new_bias - (windows.known @ weight + bias)
    assert right(weight, bias) < 0.65
    assert right(new_weight, new_bias) > 0.9
    assert np.sqrt(np.mean(moved**2)) < 0.7
    unheld = refit_output(weight, bias, windows, 1.0, 0.0)
    freely = windows.known @ unheld[0] + unheld[1] - (windows.known @ weight + bias)
    assert np.sqrt(np.mean(freely**2)) > 2 * np.sqrt(np.mean(moved**2))


def test_nothing_taught_moves_nothing() -> None:
    windows, weight, bias = embeddings_of_a_household()
    none = np.zeros((0, 64), np.float32)
    same = refit_output(weight, bias, Windows(none, none, windows.known), 1.0, 2.0)
    np.testing.assert_allclose(same[0], weight, atol=1e-6)
    assert same[1] == pytest.approx(bias, abs=1e-6)
    sirens_alone = refit_output(weight, bias, Windows(windows.sirens, none, none), 1.0, 2.0)
    assert np.mean(windows.sirens @ sirens_alone[0] + sirens_alone[1] > 0) > 0.95


def test_recordings_of_a_household_reach_the_graph(second: onnx.ModelProto, tmp_path: Path) -> None:
    rng, time = np.random.default_rng(4), np.arange(48_000) / 16_000

    def tone(pitch_hz: float) -> np.ndarray:
        wave = np.sin(2 * np.pi * (pitch_hz * time - 40 * np.cos(2 * np.pi * time))) + 0.1 * rng.normal(size=48_000)
        return (8000 * wave).astype(np.int16)

    both, siren, dog = frozenset({"siren", "dog"}), frozenset({"siren"}), frozenset({"dog"})
    lessons = Lessons(
        own=[
            *(OwnSound(tone(rng.uniform(700, 900)), siren, frozenset()) for _ in range(4)),
            *(OwnSound((4000 * rng.normal(size=48_000)).astype(np.int16), frozenset(), both) for _ in range(4)),
            *(OwnSound(tone(rng.uniform(1500, 1700)), dog, siren) for _ in range(4)),
        ],
        known=[tone(rng.uniform(2500, 3000)) for _ in range(3)],
    )
    heard: list[int] = []
    taught = teach(second, hearing_as_the_tagger(), lessons, TuningSettings(), lambda: heard.append(1))
    assert len(heard) == len(lessons) == 15
    assert taught.right_before < taught.windows
    assert taught.right_after > max(taught.right_before, 0.85 * taught.windows)
    assert (output_of(taught.second)[1] != output_of(second)[1]).all()
    assert output_of(second)[1].tolist() == [-1.0, 0.5]
