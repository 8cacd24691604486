"""INT8 activations with fixed scales, measured on recordings: QuantizeLinear and DequantizeLinear around operators."""

import logging
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
from onnx_ir.passes.common import RemoveUnusedNodesPass
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from earshot_trainer.graph.session import Array, GraphSession
from earshot_trainer.graph.weights import weight_inputs

GROUPS = ("embedding", "pointwise", "convolutions", "between")
"""Each holds the operators of those before it, the last one what lies between convolutions: no value is float there."""
_PASSING = {"Clip", "Concat", "Pad", "Relu", "Slice"}
"""Operators that need no arithmetic in float to hand INT8 values on."""


def quantize_activations(float_path: Path, calibration: Array, group: str, out: Path) -> None:
    """Write the graph with the operators of `group` in INT8; their scales come from `calibration` [clips, samples].

    Scales are constants of the graph, so a stream does not depend on its neighbours in a batch. What a convolution
    carries from one call to the next has the scale of what it is joined with, so that a stream does not depend on how
    it is cut either.
    """
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)  # it recommends a pre-processing that this graph has had
    try:
        quantize_static(
            float_path,
            out,
            _Clips(float_path, calibration),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=node_names(float_path, group),
        )
    finally:
        logger.setLevel(level)
    model = onnx_ir.load(out)
    _share_scales(model.graph)
    RemoveUnusedNodesPass()(model)
    onnx_ir.save(model, out)


def _share_scales(graph: onnx_ir.Graph) -> None:
    """Quantize the state that joins a convolution's input as the whole of that input: clips begin without any."""
    for node in graph:
        consumers = node.outputs[0].consumers()
        if node.op_type != "Concat" or not consumers or consumers[0].op_type != "QuantizeLinear":
            continue
        for value in node.inputs:
            restoring = value.producer() if value is not None else None
            quantized = restoring.inputs[0] if restoring is not None else None
            quantizing = quantized.producer() if quantized is not None else None
            if restoring is None or quantizing is None or not _is_state(quantizing.inputs[0], graph):
                continue
            for step in (quantizing, restoring):
                step.replace_input_with(1, consumers[0].inputs[1])
                step.replace_input_with(2, consumers[0].inputs[2])


def _is_state(value: onnx_ir.Value | None, graph: onnx_ir.Graph) -> bool:
    """Whether a value is an input of the graph, or one with its axes in another order."""
    producer = value.producer() if value is not None else None
    if producer is not None and producer.op_type == "Transpose":
        return producer.inputs[0] in graph.inputs
    return value in graph.inputs


def node_names(path: Path, group: str) -> list[str]:
    """Return the names of the nodes of `group` in the float graph at `path`."""
    quantized: set[onnx_ir.Node] = set()
    names = []
    for node in onnx_ir.load(path).graph:  # in topological order
        rank = _rank(node)
        if rank == GROUPS.index("between") and not _touches(node, quantized):
            rank = len(GROUPS)
        if rank < len(GROUPS):
            quantized.add(node)
        if rank <= GROUPS.index(group):
            names.append(str(node.name))
    return names


def _touches(node: onnx_ir.Node, quantized: AbstractSet[onnx_ir.Node]) -> bool:
    """Whether a node takes what a quantized one gives, or all that it gives goes to operators that will be one."""
    if any(value is not None and value.producer() in quantized for value in node.inputs):
        return True
    consumers = [user for user in node.outputs[0].consumers() if user.op_type != "Slice"]
    return bool(consumers) and all(_rank(user) < GROUPS.index("between") for user in consumers)


def _rank(node: onnx_ir.Node) -> int:
    """Return the first group that `node` may belong to, or one past the last.

    A convolution of one channel has nothing to gain: it takes longer in INT8.
    """
    if node.name == "embedding":
        return GROUPS.index("embedding")
    weights = weight_inputs(node)
    if node.op_type == "Conv" and weights and weights[0].shape is not None:
        outputs, inputs, *kernel = tuple(weights[0].shape)
        is_of_one_channel = inputs == 1 and node.attributes.get_int("group", 1) != outputs
        if is_of_one_channel:
            return len(GROUPS)
        return GROUPS.index("pointwise" if kernel == [1, 1] else "convolutions")
    return GROUPS.index("between") if node.op_type in _PASSING else len(GROUPS)


class _Clips(CalibrationDataReader):  # type: ignore[misc]
    """Whole clips, each from the initial state."""

    def __init__(self, path: Path, clips: Array) -> None:
        state = {f"state_{name}": value for name, value in GraphSession(path).initial_state(1).items()}
        self._feeds: Iterator[dict[str, np.ndarray[Any, Any]]] = ({"samples": clip[None]} | state for clip in clips)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """Return the next clip's inputs, or nothing at the end."""
        return next(self._feeds, None)
