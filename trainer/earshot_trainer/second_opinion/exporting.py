"""The second opinion as an ONNX file of its own."""

from collections.abc import Sequence
from pathlib import Path

import torch
from onnx import ModelProto

from earshot_node.atomic_file import write_atomically
from earshot_node.contract.names import SIREN
from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.graph.export import IR_VERSION, quiet_exporter
from earshot_trainer.graph.export_layers import ONNX_OPSET
from earshot_trainer.network.architecture import TAGGER_MELS
from earshot_trainer.second_opinion.joining import say_labels
from earshot_trainer.second_opinion.network import SecondOpinion


def export_second(network: SecondOpinion, path: Path, labels: Sequence[str] = (SIREN,)) -> None:
    """Write `network` in float32: windows [k, 96, 64] to logits [k, labels]. The file appears whole or not at all."""
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            network.eval(),
            (torch.zeros(2, WINDOW_FRAMES, TAGGER_MELS),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("k")},),
            opset_version=ONNX_OPSET,
            input_names=["windows"],
            output_names=["logits"],
            verbose=False,
        )
    assert program is not None
    model: ModelProto = program.model_proto
    model.ir_version = IR_VERSION
    _clear_notes(model)
    say_labels(model, labels)
    write_atomically(path, model.SerializeToString())


def _clear_notes(model: ModelProto) -> None:
    """Drop the exporter's notes, which name source lines of the machine that exported, and its shapes in between."""
    model.graph.ClearField("value_info")
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
