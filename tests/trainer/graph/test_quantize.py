"""The INT8 graph: small, close to the float one, and honest about what is in it."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx_ir", reason="torch is missing; run scripts/test without --node")

import onnx_ir
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic

from earshot_node.errors import OperatorError
from earshot_trainer.graph.activations import GROUPS, node_names, quantize_activations
from earshot_trainer.graph.latency import call_times_s
from earshot_trainer.graph.operator_table import operator_table
from earshot_trainer.graph.quantize import (
    INDEPENDENCE_LIMIT,
    QuantizationReport,
    independence_deviation,
    quantize_model,
)
from earshot_trainer.graph.session import GraphSession
from earshot_trainer.graph.weights import quantize_per_channel
from earshot_trainer.network.architecture import MEL_RANGE_KEY

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def quantized(
    float_graph: Path, noise_clips: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, QuantizationReport]:
    """The graph that `quantize_model` chose, and its report."""
    path = tmp_path_factory.mktemp("quantized") / "model.onnx"
    return path, quantize_model(float_graph, noise_clips, path, timed_calls=30)


def test_stored_weights_are_at_most_a_third(quantized: tuple[Path, QuantizationReport]) -> None:
    path, report = quantized
    assert report.weight_share <= 1 / 3
    assert path.stat().st_size == report.file_bytes <= 600_000


def test_posteriors_stay_close_to_the_float_graph(
    quantized: tuple[Path, QuantizationReport], float_graph: Path, noise_clips: NDArray[np.float32]
) -> None:
    expected = GraphSession(float_graph).run_clips(noise_clips)
    deviation = np.abs(GraphSession(quantized[0]).run_clips(noise_clips) - expected)
    assert deviation.mean() < 0.01
    assert 0 < deviation.max() < 0.1


def test_chosen_graph_is_independent_of_cut_and_neighbour(
    quantized: tuple[Path, QuantizationReport], noise_clips: NDArray[np.float32]
) -> None:
    assert independence_deviation(quantized[0], noise_clips[:2]) <= INDEPENDENCE_LIMIT


def test_independence_check_notices_dynamic_quantization(
    float_graph: Path, noise_clips: NDArray[np.float32], tmp_path: Path
) -> None:
    quantize_dynamic(
        float_graph, tmp_path / "dynamic.onnx", weight_type=QuantType.QInt8, nodes_to_quantize=["embedding"]
    )
    assert independence_deviation(tmp_path / "dynamic.onnx", noise_clips[:2]) > INDEPENDENCE_LIMIT


def test_report_names_every_candidate_and_travels_as_json(quantized: tuple[Path, QuantizationReport]) -> None:
    report = quantized[1]
    values = json.loads(json.dumps(report.to_dict()))
    assert [candidate["name"] for candidate in values["candidates"]] == ["weights", *GROUPS]
    assert values["chosen"] in {c["name"] for c in values["candidates"] if c["verdict"] == "eligible"}
    assert values["weight_share"] == pytest.approx(report.int8_weight_bytes / report.float_weight_bytes, abs=1e-4)


def test_operator_table_says_which_layer_is_what(float_graph: Path, int8_graph: Path) -> None:
    expected = {
        "stem.conv", "blocks.0.depthwise.conv", "blocks.0.pointwise", "blocks.1.depthwise.conv", "blocks.1.pointwise",
        "blocks.2.depthwise.conv", "blocks.2.pointwise", "embedding", "gru", "output",
    }  # fmt: skip
    for path, precision in ((float_graph, "float32"), (int8_graph, "int8")):
        table = operator_table(path)
        assert {row.layer for row in table if row.weights == precision} == expected
        assert [row.layer for row in table if row.weights == "computed"] == [
            "log_mel.even.cosines", "log_mel.even.sines", "log_mel.even.mel_filters",
            "log_mel.odd.cosines", "log_mel.odd.sines", "log_mel.odd.mel_filters",
        ]  # fmt: skip
        assert all(row.activations == "float32" for row in table)
        assert not any(row.kind in {"Sin", "Mod", "Cast"} for row in table)


def test_operator_table_shows_int8_activations(
    float_graph: Path, noise_clips: NDArray[np.float32], tmp_path: Path
) -> None:
    quantize_activations(float_graph, noise_clips[:2], "embedding", tmp_path / "embedding.onnx")
    rows = {row.layer: row for row in operator_table(tmp_path / "embedding.onnx")}
    assert (rows["embedding"].weights, rows["embedding"].activations) == ("int8", "int8")
    assert (rows["output"].weights, rows["output"].activations) == ("float32", "float32")


def test_each_group_holds_the_one_before(float_graph: Path) -> None:
    names = [set(node_names(float_graph, group)) for group in GROUPS]
    assert [len(group) for group in names[:3]] == [1, 4, 8]
    assert names[0] < names[1] < names[2] < names[3]


def test_between_convolutions_nothing_is_float(
    float_graph: Path, noise_clips: NDArray[np.float32], tmp_path: Path
) -> None:
    quantize_activations(float_graph, noise_clips[:2], "between", tmp_path / "between.onnx")
    model = onnx_ir.load(tmp_path / "between.onnx")
    convolutions = [node for node in model.graph if node.op_type == "Conv"]
    made_int8 = {value for node in model.graph if node.op_type == "DequantizeLinear" for value in node.outputs}
    assert len(convolutions) == 8
    assert all(node.inputs[0] in made_int8 for node in convolutions)
    joins = [node for node in model.graph if node.op_type == "Concat" and set(node.inputs) <= made_int8]
    assert len(joins) == 4  # each 3 by 3 convolution's input with what it carries
    assert model.metadata_props[MEL_RANGE_KEY] == onnx_ir.load(float_graph).metadata_props[MEL_RANGE_KEY]
    assert independence_deviation(tmp_path / "between.onnx", noise_clips[2:4]) <= INDEPENDENCE_LIMIT


def test_fewer_than_four_clips_are_refused(float_graph: Path, tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="at least four clips"):
        quantize_model(float_graph, np.zeros((3, 6400), np.float32), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


@settings(deadline=None)
@given(arrays(np.float32, (3, 5, 2), elements=st.floats(-1e4, 1e4, width=32)), st.integers(0, 2))
def test_int8_weight_is_within_half_a_step(weight: NDArray[np.float32], axis: int) -> None:
    values, scale = quantize_per_channel(weight, axis)
    assert scale.size == weight.shape[axis]
    assert (np.abs(values * scale - weight) <= scale * 0.5001).all()


def test_every_graph_is_timed(float_graph: Path, int8_graph: Path) -> None:
    times_s = call_times_s([float_graph, int8_graph], calls=20)
    assert len(times_s) == 2
    assert min(times_s) > 0
