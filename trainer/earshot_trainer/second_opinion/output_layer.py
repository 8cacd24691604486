"""The linear output of a second opinion's graph: what it is given, and the same graph with another one."""

import numpy as np
import onnxruntime
import torch
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper
from torch import Tensor

from earshot_trainer.second_opinion.fitting import Floats


class Embedder:
    """Windows to what the output of a second opinion's graph is given, by onnxruntime on one thread."""

    def __init__(self, second: ModelProto) -> None:
        graph = ModelProto()
        graph.CopyFrom(second)
        embedding = _output_node(graph.graph).input[0]
        del graph.graph.output[:]
        graph.graph.output.append(helper.make_tensor_value_info(embedding, TensorProto.FLOAT, ["k", None]))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def __call__(self, windows: Tensor) -> Tensor:
        """Map windows of frames [K, 96, 64] to embeddings [K, C]."""
        (embeddings,) = self._session.run(None, {self._input: windows.contiguous().numpy()})
        return torch.from_numpy(np.asarray(embeddings))


def output_of(second: ModelProto) -> tuple[Floats, Floats]:
    """Weights [labels, C] and biases [labels]."""
    weight, bias = (numpy_helper.to_array(tensor).astype(np.float32) for tensor in _tensors(second.graph))
    return weight.reshape(bias.size, -1), bias.reshape(-1)


def with_output(second: ModelProto, weight: Floats, bias: Floats) -> ModelProto:
    """The same graph with other weights [labels, C] and biases [labels] of its output."""
    other = ModelProto()
    other.CopyFrom(second)
    for tensor, values in zip(_tensors(other.graph), (weight, bias), strict=True):
        shaped = np.asarray(values, np.float32).reshape(tuple(tensor.dims))
        tensor.CopyFrom(numpy_helper.from_array(shaped, tensor.name))
    return other


def _output_node(graph: GraphProto) -> NodeProto:
    node: NodeProto = next(one for one in reversed(graph.node) if one.op_type == "Gemm")
    return node


def _tensors(graph: GraphProto) -> tuple[TensorProto, TensorProto]:
    """Weights, a row for each label, and biases."""
    named = {tensor.name: tensor for tensor in graph.initializer}
    node = _output_node(graph)
    assert any(one.name == "transB" and one.i for one in node.attribute), "as torch exports a linear layer"
    _, weight, bias = node.input
    return named[weight], named[bias]
