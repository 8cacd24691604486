"""The tagger with an output of its own, exported as one graph."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import onnxruntime  # noqa: E402
from support.toy_tagger import Convolution  # noqa: E402

from earshot_node.errors import OperatorError  # noqa: E402
from earshot_trainer.network.architecture import TAGGER_CONVOLUTIONS  # noqa: E402
from earshot_trainer.network.model import ModelConfig  # noqa: E402
from earshot_trainer.second_opinion.ears import Ears  # noqa: E402
from earshot_trainer.second_opinion.exporting import export_second  # noqa: E402
from earshot_trainer.second_opinion.fitting import fit_output  # noqa: E402
from earshot_trainer.second_opinion.network import STRIDES, TAGGER_WIDTHS, SecondOpinion  # noqa: E402

pytestmark = pytest.mark.torch
WIDE = (8, 8, 16, 16, 16, 16, 24, 24, 24, 24, 24, 24, 32, 32)


def test_widths_are_those_of_as_many_layers_as_the_card_tells() -> None:
    assert len(TAGGER_WIDTHS) == len(STRIDES)
    assert len(SecondOpinion().layers) == TAGGER_CONVOLUTIONS


def tagger() -> list[Convolution]:
    layers = [Convolution(1, WIDE[0], 3, STRIDES[0], depthwise=False)]
    for (inputs, outputs), stride in zip(pairwise(WIDE), STRIDES[1:], strict=True):
        layers += [
            Convolution(inputs, inputs, 3, stride, depthwise=True),
            Convolution(inputs, outputs, 1, 1, depthwise=False),
        ]
    return layers


def embed(layers: list[Convolution], frames: "torch.Tensor") -> "torch.Tensor":
    x = frames[:, None]
    for layer in layers:
        x = layer(x)
    return x.mean(dim=(2, 3))


@pytest.fixture
def frames() -> "torch.Tensor":
    return torch.randn(24, 96, 64, generator=torch.Generator().manual_seed(1)) * 2 - 3


def test_network_as_wide_as_the_tagger_is_the_tagger(frames: "torch.Tensor") -> None:
    network = SecondOpinion(WIDE).eval()
    network.take_layers(tagger())
    np.testing.assert_allclose(network.embed(frames).detach(), embed(tagger(), frames), rtol=0, atol=1e-5)


def test_tagger_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="the network's of"):
        SecondOpinion((6, *WIDE[1:])).take_layers(tagger())
    with pytest.raises(ValueError, match="the network's of"):
        SecondOpinion(WIDE).take_layers(tagger()[:5])


def test_output_tells_two_kinds_of_windows_apart() -> None:
    rng = np.random.default_rng(3)
    others = rng.normal(0, 1, (4000, 20)).astype(np.float32)
    sirens = rng.normal(0, 1, (100, 20)).astype(np.float32)
    sirens[:, 3] += 4
    weight, bias = fit_output([sirens], others)
    assert (sirens @ weight + bias > 0).mean() > 0.9
    assert (others @ weight + bias > 0).mean() < 0.1
    with pytest.raises(OperatorError, match="is_siren"):
        fit_output([sirens[:0]], others)


def test_sirens_of_few_windows_count_as_much_as_those_of_many() -> None:
    rng = np.random.default_rng(3)
    others = rng.normal(0, 1, (2000, 20)).astype(np.float32)
    many, few = (rng.normal(0, 1, (count, 20)).astype(np.float32) for count in (2000, 100))
    many[:, 3] += 4
    few[:, 5] += 4
    weight, _ = fit_output([many, few], others)
    by_windows, _ = fit_output([np.concatenate([many, few])], others)
    assert weight[5] / weight[3] > 2 * by_windows[5] / by_windows[3]
    with_none, _ = fit_output([many, few[:0]], others)
    np.testing.assert_array_equal(with_none, fit_output([many], others)[0])


def test_exported_graph_is_the_network(tmp_path: Path, frames: "torch.Tensor") -> None:
    network = SecondOpinion(WIDE)
    network.take_layers(tagger())
    network.set_output(np.linspace(-1, 1, 32, dtype=np.float32)[None], np.array([0.25], np.float32))
    export_second(network, tmp_path / "second.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "second.onnx")
    for count in (1, 5):
        (logits,) = session.run(None, {"windows": frames[:count].numpy()})
        np.testing.assert_allclose(logits, network(frames[:count]).detach(), rtol=0, atol=1e-3)
    assert b"/trainer/" not in (tmp_path / "second.onnx").read_bytes()


def test_network_that_hears_other_frames_has_no_ears_for_it() -> None:
    with pytest.raises(OperatorError, match=r"model\.magnitudes"):
        Ears(ModelConfig(n_mels=64))
