"""Which operator of a graph is stored and computed in which precision, read from the file itself."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import onnx_ir

Precision = Literal["int8", "float32", "computed", "none"]

_NAMES: dict[onnx_ir.DataType | None, Precision] = {
    onnx_ir.DataType.INT8: "int8",
    onnx_ir.DataType.UINT8: "int8",
    onnx_ir.DataType.FLOAT: "float32",
}


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator that runs at every hop.

    Attributes:
        layer: the layer that it computes.
        kind: ONNX operator.
        weights: how they are stored; `computed` from a few numbers at load; `none` if it has none.
        weight_count: numbers stored as weights, without biases and scales.
        activations: what it takes at run time.
    """

    layer: str
    kind: str
    weights: Precision
    weight_count: int
    activations: Literal["int8", "float32"]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)


def operator_table(path: Path) -> list[Operator]:
    """Return the operators of the graph at `path` in order, without what is folded at load and quantization steps."""
    model = onnx_ir.load(path)
    constants = _constant_values(model.graph)
    skipped = {"QuantizeLinear", "DequantizeLinear"}
    return [
        _operator(node, constants)
        for node in model.graph
        if node.op_type not in skipped and not all(value in constants for value in node.outputs)
    ]


def stored_bytes(path: Path) -> int:
    """Return the bytes of every tensor stored in the graph at `path`: weights, scales, biases and constants."""
    return sum(
        value.const_value.nbytes
        for value in onnx_ir.load(path).graph.initializers.values()
        if value.const_value is not None
    )


def _constant_values(graph: onnx_ir.Graph) -> set[onnx_ir.Value]:
    """Return initializers and what follows from nothing but them; nodes come in topological order."""
    constants = set(graph.initializers.values())
    for node in graph:
        inputs = [value for value in node.inputs if value is not None]
        if all(value in constants for value in inputs):
            constants.update(node.outputs)
    return constants


def _operator(node: onnx_ir.Node, constants: set[onnx_ir.Value]) -> Operator:
    weights: Precision = "none"
    count = 0
    if node.op_type in {"Conv", "GRU", "MatMul"}:
        inputs = [value for value in node.inputs[1 : 3 if node.op_type == "GRU" else 2] if value is not None]
        stored = [_stored_tensor(value) for value in inputs if value in constants]
        weights = "computed"
        for tensor in stored:
            if tensor is not None and tensor.const_value is not None:
                weights = _NAMES.get(tensor.dtype, "computed")
                count += tensor.const_value.size
    first = node.inputs[0].producer() if node.inputs and node.inputs[0] is not None else None
    quantized = first is not None and first.op_type == "DequantizeLinear"
    return Operator(
        str(node.name), node.op_type, weights, count, "int8" if quantized and weights != "none" else "float32"
    )


def _stored_tensor(value: onnx_ir.Value) -> onnx_ir.Value | None:
    """Return the initializer behind a weight: itself, or what DequantizeLinear or Cast and Mul restore it from."""
    if value.is_initializer():
        return value
    node = value.producer()
    if node is not None and node.op_type == "Mul" and node.inputs[0] is not None:
        node = node.inputs[0].producer()
    if node is None or node.op_type not in {"Cast", "DequantizeLinear"}:
        return None
    source = node.inputs[0]
    return source if source is not None and source.is_initializer() else None
