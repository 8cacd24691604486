"""INT8 activations with fixed scales, measured on recordings: QuantizeLinear and DequantizeLinear around operators."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from earshot_trainer.graph.session import Array, GraphSession
from earshot_trainer.graph.weights import weight_inputs

GROUPS = ("embedding", "pointwise", "convolutions", "between")
"""Each holds the operators of those before it, the last one what lies between convolutions: no value is float there."""
_PASSING = {"Clip", "Concat", "Pad", "Relu", "Slice"}
"""Operators that need no arithmetic in float to hand INT8 values on."""


def quantize_activations(float_path: Path, calibration: Array, group: str, out: Path) -> None:
    """Write the graph with the operators of `group` in INT8; their scales come from `calibration` [clips, samples].

    Scales are constants of the graph, so a stream does not depend on its neighbours in a batch.
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


def node_names(path: Path, group: str) -> list[str]:
    """Return the names of the nodes of `group` in the float graph at `path`."""
    behind: set[onnx_ir.Node] = set()
    names = []
    for node in onnx_ir.load(path).graph:  # in topological order
        producers = {value.producer() for value in node.inputs if value is not None}
        if node.op_type == "Conv" or (node.op_type in _PASSING and producers & behind):
            behind.add(node)
        if GROUPS.index(group) >= _rank(node, node in behind):
            names.append(str(node.name))
    return names


def _rank(node: onnx_ir.Node, is_behind_convolution: bool) -> int:
    """Return the first group that `node` belongs to, or one past the last."""
    weights = weight_inputs(node)
    if node.name == "embedding":
        return 0
    if node.op_type == "Conv" and weights and weights[0].shape is not None:
        return 1 if tuple(weights[0].shape)[2:] == (1, 1) else 2
    return 3 if is_behind_convolution and node.op_type in _PASSING else len(GROUPS)


class _Clips(CalibrationDataReader):  # type: ignore[misc]
    """Whole clips, each from the initial state."""

    def __init__(self, path: Path, clips: Array) -> None:
        state = {f"state_{name}": value for name, value in GraphSession(path).initial_state(1).items()}
        self._feeds: Iterator[dict[str, np.ndarray[Any, Any]]] = ({"samples": clip[None]} | state for clip in clips)

    def get_next(self) -> dict[str, np.ndarray[Any, Any]] | None:
        """Return the next clip's inputs, or nothing at the end."""
        return next(self._feeds, None)
