"""Weights in four bits: what a graph restores is what the network was rounded to."""

import numpy as np
import onnx
import pytest

torch = pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

import onnxruntime  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from onnx import helper, numpy_helper  # noqa: E402

from earshot_trainer.second_opinion.four_bits import (  # noqa: E402
    in_four_bits,
    is_stored_in_four_bits,
    rounded,
    to_four_bits,
)

pytestmark = pytest.mark.torch


def pointwise(weight: np.ndarray) -> onnx.ModelProto:
    """One convolution."""
    values = [
        helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", channels, "t", "m"])
        for name, channels in (("x", weight.shape[1]), ("y", weight.shape[0]))
    ]
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "one", values[:1], values[1:], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 20)])


@given(st.integers(0, 2**32 - 1), st.sampled_from([(40, 64), (48, 128), (64, 48)]), st.floats(-3, 3))
def test_what_was_rounded_once_stays_as_it_is(seed: int, shape: tuple[int, int], magnitude: float) -> None:
    weight = np.random.default_rng(seed).normal(0, 10**magnitude, (*shape, 1, 1)).astype(np.float32)
    once = rounded(weight)
    np.testing.assert_array_equal(rounded(once), once)
    error = np.sqrt(np.mean((once - weight) ** 2)) / weight.std()
    assert 0.02 < error < 0.12  # of a normal distribution, by blocks of 64


def test_numbers_fill_four_bits() -> None:
    whole, scale = to_four_bits(np.random.default_rng(1).normal(0, 1, (64, 128)).astype(np.float32))
    assert whole.min() == -7
    assert whole.max() == 7
    assert scale.shape == (64, 2, 1)


def test_graph_restores_the_rounded_weights_from_an_eighth_of_their_bytes() -> None:
    weight = np.random.default_rng(2).normal(0, 0.3, (128, 192, 1, 1)).astype(np.float32)
    model = pointwise(weight)
    small = in_four_bits(model)
    onnx.checker.check_model(small, full_check=True)
    assert len(small.SerializeToString()) < len(model.SerializeToString()) / 6
    x = np.random.default_rng(3).normal(0, 1, (2, 192, 3, 4)).astype(np.float32)
    (y,) = onnxruntime.InferenceSession(small.SerializeToString()).run(None, {"x": x})
    (wanted,) = onnxruntime.InferenceSession(pointwise(rounded(weight)).SerializeToString()).run(None, {"x": x})
    np.testing.assert_allclose(y, wanted, rtol=0, atol=1e-4)


def test_few_weights_and_other_kernels_stay_as_they_are() -> None:
    assert is_stored_in_four_bits((64, 32, 1, 1))
    assert not is_stored_in_four_bits((32, 32, 1, 1))
    assert not is_stored_in_four_bits((512, 1, 3, 3))
    model = pointwise(np.ones((32, 32, 1, 1), np.float32))
    assert in_four_bits(model) == model
