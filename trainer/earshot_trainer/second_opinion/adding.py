"""A run's second opinion goes into its graphs: as it is into the float one, in four bits into the INT8 one."""

from pathlib import Path

import onnx
import onnx_ir
from onnx import ModelProto

from earshot_node.atomic_file import write_atomically
from earshot_trainer.graph.weights import store_weights_as_int8
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.second_opinion.four_bits import in_four_bits
from earshot_trainer.second_opinion.joining import join, labels_of, say_labels

SECOND_NAME = "second.onnx"


def add_second_opinion(second_path: Path, config: ModelConfig, float_path: Path, int8_path: Path) -> None:
    """Put the second opinion at `second_path` into both graphs of a network with this configuration.

    Raises:
        OperatorError: the network does not hear the tagger's frames.
    """
    second = onnx.load(second_path)
    _write(join(onnx.load(float_path), second, config.labels), float_path)
    _write(join(onnx.load(int8_path), _small(second), config.labels), int8_path)


def hand_on_second_opinion(second: ModelProto, config: ModelConfig, float_path: Path, int8_path: Path) -> None:
    """Put a second opinion that comes from a bundle's graph into both graphs of another network, as it is."""
    for path in (float_path, int8_path):
        _write(join(onnx.load(path), second, config.labels), path)


def _small(second: ModelProto) -> ModelProto:
    """What is not many is stored as INT8."""
    model = onnx_ir.from_proto(in_four_bits(second))
    store_weights_as_int8(model)
    small = onnx_ir.to_proto(model)
    say_labels(small, labels_of(second))
    return small


def _write(model: ModelProto, path: Path) -> None:
    write_atomically(path, model.SerializeToString())
