"""Weights stored as INT8 with one float scale per output channel; arithmetic stays float.

The graph restores them by Cast and Mul, which onnxruntime folds at load: a smaller file, the same speed.
DequantizeLinear on constants would not be folded and would run at every hop.
"""

import numpy as np
import onnx_ir
from numpy.typing import NDArray

MIN_WEIGHTS = 64
"""A smaller tensor gains nothing: its scales and nodes weigh as much."""

_CHANNEL_AXIS = {"Conv": 0, "GRU": 1, "MatMul": 1}
_WEIGHT_INPUTS = {"Conv": (1,), "GRU": (1, 2), "MatMul": (1,)}


def weight_inputs(node: onnx_ir.Node) -> list[onnx_ir.Value]:
    """Return the stored weight tensors of a convolution, matrix product or recurrent layer, without biases."""
    inputs = [node.inputs[index] for index in _WEIGHT_INPUTS.get(node.op_type, ())]
    return [value for value in inputs if value is not None and value.is_initializer()]


def store_weights_as_int8(model: onnx_ir.Model) -> list[str]:
    """Replace every float weight of `model` in place; returns the names of the tensors that are INT8 now."""
    stored: list[str] = []
    for node in list(model.graph):
        for value in weight_inputs(node):
            assert value.const_value is not None
            weight = value.const_value.numpy()
            if weight.dtype == np.float32 and weight.size >= MIN_WEIGHTS:
                stored.append(_store(model.graph, node, value, weight))
    return stored


def quantize_per_channel(weight: NDArray[np.float32], axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Return INT8 values and the scale of each channel along `axis`, shaped to broadcast; symmetric, no zero point."""
    others = tuple(i for i in range(weight.ndim) if i != axis)
    scale = np.maximum(np.abs(weight).max(axis=others, keepdims=True), 1e-12) / 127
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)


def _store(graph: onnx_ir.Graph, node: onnx_ir.Node, value: onnx_ir.Value, weight: NDArray[np.float32]) -> str:
    name = value.name
    assert name is not None
    quantized, scale = quantize_per_channel(weight, _CHANNEL_AXIS[node.op_type])
    parts = []
    for suffix, array in (("int8", quantized), ("scale", scale)):
        part = onnx_ir.Value(name=f"{name}.{suffix}", const_value=onnx_ir.tensor(array, name=f"{name}.{suffix}"))
        graph.initializers[f"{name}.{suffix}"] = part
        parts.append(part)
    cast = onnx_ir.node("Cast", [parts[0]], {"to": onnx_ir.DataType.FLOAT}, name=f"{name}.cast")
    restore = onnx_ir.node("Mul", [cast.outputs[0], parts[1]], name=f"{name}.restore")
    cast.outputs[0].name, restore.outputs[0].name = f"{name}.cast", f"{name}.float"
    graph.insert_before(node, [cast, restore])
    for use, index in list(value.uses()):
        use.replace_input_with(index, restore.outputs[0])
    del graph.initializers[name]
    return name
