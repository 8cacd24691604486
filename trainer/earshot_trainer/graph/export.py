"""The trained network as one ONNX file: samples and state in, posteriors, frames and new state out."""

import json
import logging
import os
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import onnx_ir
import onnxscript.optimizer
import torch
from onnx_ir.passes.common import ClearMetadataAndDocStringPass, RemoveUnusedNodesPass

from earshot_trainer.graph.export_layers import ONNX_OPSET, exportable
from earshot_trainer.graph.session import GraphSession
from earshot_trainer.network.architecture import HOP_SAMPLES, MEL_RANGE_KEY
from earshot_trainer.network.model import SignalPath, StreamingCrnn

FRAMES_NODE = "tagger_frames"
"""Name of the node that makes the tagger's frames, at one level, for its layers and for a second opinion."""
IR_VERSION = 10
"""Read by every onnxruntime from 1.20 on."""
EXPORT_TOLERANCE = 1e-4
"""Greatest difference of a posterior between torch and the exported graph."""
FRAME_SCALE = 20.0
"""Nepers by which a difference of frames counts as that of a posterior: from silence to full scale."""


def export_float(network: StreamingCrnn, path: Path) -> None:
    """Write `network` as a float32 ONNX graph with dynamic batch and hop count to `path`.

    Inputs are `samples` [batch, n * 640] and `state_<name>`; outputs `posteriors` [batch, n, labels], `log_mel`
    [batch, 4n, mels] and `next_state_<name>`. The file appears whole or not at all.

    Raises:
        RuntimeError: the graph does not compute what `network` computes.
    """
    model = _capture(exportable(network))
    onnxscript.optimizer.optimize_ir(model, input_size_limit=1024, output_size_limit=2048)
    for node in model.graph:
        if node.op_type == "Reshape":
            _make_shape_constant(node)
    _name_dynamic_outputs(model.graph)
    _name_layers(model.graph)
    _name_tagger_frames(model.graph)
    RemoveUnusedNodesPass()(model)
    _clear_metadata(model)
    model.metadata_props[MEL_RANGE_KEY] = json.dumps([network.config.mel_min_hz, network.config.mel_max_hz])
    model.ir_version = IR_VERSION
    model.producer_name, model.producer_version = "earshot", ""
    partial = path.with_name(f"{path.name}.partial")
    onnx_ir.save(model, partial)
    difference = _difference(network, partial)
    if not difference <= EXPORT_TOLERANCE:
        partial.unlink()
        raise RuntimeError(f"{path}: the exported graph differs from the network by {difference:.2g}; not written")
    os.replace(partial, path)  # noqa: PTH105


def _capture(signal_path: SignalPath) -> onnx_ir.Model:
    """Trace the signal path; nothing is folded yet, so that the DFT stays a computation."""
    state = signal_path.initial_state(3)
    batch, hops = torch.export.Dim("batch"), torch.export.Dim("n")
    with quiet_exporter(), torch.no_grad():
        program = torch.onnx.export(
            signal_path,
            (torch.zeros(3, 2 * HOP_SAMPLES),),
            kwargs={"state": state},
            dynamo=True,
            dynamic_shapes={
                "samples": {0: batch, 1: HOP_SAMPLES * hops},
                "state": {name: {0: batch} for name in state},
            },
            opset_version=ONNX_OPSET,
            output_names=["posteriors", "log_mel", *(f"next_state_{name}" for name in state)],
            optimize=False,
            verbose=False,
        )
    assert program is not None
    return program.model


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Hide the exporter's own deprecations, and that it misses torchvision."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _make_shape_constant(node: onnx_ir.Node) -> None:
    """Replace a Reshape's computed shape by numbers: 0 copies the input's dimension, -1 is what is left."""
    source, target = node.inputs[0], node.outputs[0]
    assert source is not None
    assert source.shape is not None
    assert target.shape is not None
    shape = [
        dim if isinstance(dim, int) else 0 if index < len(source.shape) and dim == source.shape[index] else -1
        for index, dim in enumerate(target.shape)
    ]
    assert shape.count(-1) <= 1, f"{node.name}: more than one unknown dimension"
    graph = node.graph
    assert graph is not None
    name = f"{target.name}_shape"
    value = onnx_ir.Value(name=name, const_value=onnx_ir.tensor(np.array(shape, np.int64), name=name))
    graph.initializers[name] = value
    node.replace_input_with(1, value)
    node.attributes.pop("allowzero", None)


def _name_dynamic_outputs(graph: onnx_ir.Graph) -> None:
    for value, hops in zip(graph.outputs, ("n", "4*n"), strict=False):
        assert value.shape is not None
        value.shape = onnx_ir.Shape(["batch", hops, value.shape[2]])


def _name_layers(graph: onnx_ir.Graph) -> None:
    """Call each node with weights by its layer, such as `blocks.0.pointwise`: reports and errors name nodes.

    A second node with the same weights is that name with `.2` behind it.
    """
    named: Counter[str] = Counter()
    matrices = ("cosines", "sines", "mel_filters")
    computed = iter([f"log_mel.{bins}.{matrix}" for bins in ("even", "odd") for matrix in matrices])
    for node in graph:
        if node.op_type not in {"Conv", "GRU", "MatMul"}:
            continue
        weight = node.inputs[1]
        assert weight is not None
        assert weight.name is not None
        name = weight.name.removeprefix("network.").rpartition(".")[0] if weight.is_initializer() else next(computed)
        named[name] += 1
        node.name = name if named[name] == 1 else f"{name}.{named[name]}"


def _name_tagger_frames(graph: onnx_ir.Graph) -> None:
    """Call the node that ends the normalization by its name: a second opinion listens there."""
    for node in graph:
        if any(value is not None and value.name == "network.std" for value in node.inputs):
            for last in node.outputs[0].consumers():
                if last.op_type == "Clip":
                    last.name = FRAMES_NODE


def _clear_metadata(model: onnx_ir.Model) -> None:
    """Drop the exporter's notes: they name source lines of the machine that exported."""
    ClearMetadataAndDocStringPass()(model)
    graph = model.graph
    results = (value for node in graph for value in node.outputs)
    for value in (*graph.inputs, *graph.initializers.values(), *results):
        value.metadata_props.clear()


def _difference(network: StreamingCrnn, path: Path) -> float:
    """Return the greatest difference over silence and noise that swells: of a posterior, or of a frame by its scale."""
    generator = torch.Generator().manual_seed(0)
    swelling = torch.randn(2, 50 * HOP_SAMPLES, generator=generator) * torch.logspace(-6, -1, 50 * HOP_SAMPLES)
    samples = torch.cat([torch.zeros(2, 10 * HOP_SAMPLES), swelling], dim=1)
    reference = SignalPath(network).cpu().eval()
    with torch.no_grad():
        posteriors, log_mel, _ = reference(samples, reference.initial_state(2))
    found = GraphSession(path).run(samples.numpy())
    return max(
        float(np.abs(found.posteriors - posteriors.numpy()).max()),
        float(np.abs(found.log_mel - log_mel.numpy()).max()) / FRAME_SCALE,
    )
