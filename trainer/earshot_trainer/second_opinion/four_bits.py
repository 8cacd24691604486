"""Weights in four bits: numbers from -7 to 7, two a byte, and a scale for every few of them.

What was rounded once stays as it is when it is rounded again: a network is rounded before its output is fitted, and
stored later.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

BLOCK = 64
"""Weights of one output channel that share a scale."""
FEWEST = 2048
"""Smaller tensors stay float."""
CONSTANTS: tuple[tuple[str, float, Any], ...] = (
    ("mask", 15, np.uint8),
    ("shift", 4, np.uint8),
    ("middle", 8, np.float32),
)
SHRINKS = np.linspace(0.6, 1.0, 9)
"""Of a block's greatest weight: what is cut there rounds the rest less."""


def in_four_bits(model: ModelProto) -> ModelProto:
    """Return the graph with every pointwise convolution's weights [out, in, 1, 1] as numbers from -7 to 7 and scales.

    Two share a byte: the first half of a channel's inputs low, the second half high. onnxruntime restores floats
    when it loads the graph.
    """
    small = ModelProto()
    small.CopyFrom(model)
    graph = small.graph
    weights = {tensor.name: tensor for tensor in graph.initializer}
    restoring: list[NodeProto] = []
    for name in [node.input[1] for node in graph.node if node.op_type == "Conv"]:
        weight = numpy_helper.to_array(weights[name])
        if not is_stored_in_four_bits(weight.shape):
            continue
        graph.initializer.remove(weights[name])
        whole, scale = to_four_bits(weight[:, :, 0, 0])
        tensors: dict[str, NDArray[Any]] = {"packed": pack(whole), "scale": scale.astype(np.float16)}
        graph.initializer.extend(numpy_helper.from_array(array, f"{name}.{key}") for key, array in tensors.items())
        restoring += _restore(name, weight.shape, scale.shape)
    if restoring:
        graph.initializer.extend(
            numpy_helper.from_array(np.array(value, dtype), f"four_bits.{key}") for key, value, dtype in CONSTANTS
        )
    nodes = [*restoring, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return small


def is_stored_in_four_bits(shape: tuple[int, ...]) -> bool:
    """Whether a convolution's weights of this shape are: a pointwise one's that are many."""
    return shape[2:] == (1, 1) and math.prod(shape) >= FEWEST


def rounded(weight: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights [out, in, 1, 1] as they are once they were stored."""
    whole, scale = to_four_bits(weight[:, :, 0, 0])
    blocks = whole.reshape(len(whole), scale.shape[1], -1).astype(np.float32)
    return (blocks * scale).reshape(weight.shape)


def to_four_bits(weight: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Numbers [out, in] from -7 to 7 and scales [out, blocks, 1], each of the least squared error of some."""
    outputs, inputs = weight.shape
    blocks = weight.reshape(outputs, -1, min(BLOCK, inputs))
    greatest = np.abs(blocks).max(axis=2, keepdims=True) / 7
    best_error = np.full(greatest.shape, np.inf, np.float32)
    best_scale = np.ones_like(greatest)
    for shrink in SHRINKS:
        scale = np.maximum((greatest * shrink).astype(np.float16).astype(np.float32), 1e-7)
        error = ((_round(blocks, scale) * scale - blocks) ** 2).sum(axis=2, keepdims=True)
        best_scale = np.where(error < best_error, scale, best_scale)
        best_error = np.minimum(error, best_error)
    return _round(blocks, best_scale).reshape(outputs, inputs).astype(np.int8), best_scale


def pack(whole: NDArray[np.int8]) -> NDArray[np.uint8]:
    """Two numbers from -7 to 7 a byte, [out, in] to [out, in / 2]."""
    raised = (whole + 8).astype(np.uint8)
    low, high = np.split(raised, 2, axis=1)
    return np.asarray(low | (high << 4), dtype=np.uint8)


def _round(blocks: NDArray[np.float32], scale: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(np.clip(np.rint(blocks / scale), -7, 7), dtype=np.float32)


def _restore(name: str, shape: tuple[int, ...], scales: tuple[int, ...]) -> list[NodeProto]:
    """Nodes that make the weight `name` from its packed numbers and scales."""
    steps: list[NodeProto] = []

    def step(kind: str, inputs: list[str], suffix: str, **attributes: Any) -> str:
        output = f"{name}.{suffix}" if suffix else name
        steps.append(helper.make_node(kind, inputs, [output], name=f"{output}.{kind}", **attributes))
        return output

    def constant(numbers: tuple[int, ...], suffix: str) -> str:
        return step("Constant", [], suffix, value=numpy_helper.from_array(np.array(numbers, np.int64)))

    low = step("BitwiseAnd", [f"{name}.packed", "four_bits.mask"], "low")
    high = step("BitShift", [f"{name}.packed", "four_bits.shift"], "high", direction="RIGHT")
    both = step("Concat", [low, high], "both", axis=1)
    raised = step("Cast", [both], "raised", to=TensorProto.FLOAT)
    whole = step("Sub", [raised, "four_bits.middle"], "whole")
    blocks = step("Reshape", [whole, constant((scales[0], scales[1], -1), "blocks_shape")], "blocks")
    scale = step("Cast", [f"{name}.scale"], "scale_float", to=TensorProto.FLOAT)
    scaled = step("Mul", [blocks, scale], "scaled")
    step("Reshape", [scaled, constant(shape, "shape")], "")
    return steps
