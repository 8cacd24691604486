"""What an exported graph says about itself, and a manifest for one that has no bundle yet."""

import json
from dataclasses import dataclass
from typing import Any

import onnxruntime

from earshot_node import __version__
from earshot_node.contract.manifest import (
    MEL_RANGE_HZ,
    MODEL_NAME,
    BundleManifest,
    Lineage,
    MelRange,
    ReferenceClip,
    StateTensor,
)
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_trainer.network.architecture import HOP_SAMPLES, MEL_HOP_SAMPLES, MEL_RANGE_KEY, SAMPLE_RATE_HZ

NO_HASH = "0" * 64


@dataclass(frozen=True, slots=True)
class GraphInterface:
    """Shapes of a streaming graph.

    Attributes:
        label_count: columns of `posteriors`.
        mels: columns of `log_mel`.
        mel_range_hz: of its bands.
        state_tensors: in the order of the graph's inputs.
    """

    label_count: int
    mels: int
    mel_range_hz: MelRange
    state_tensors: tuple[StateTensor, ...]


def read_interface(model: bytes, origin: str) -> GraphInterface:
    """Read the shapes of an ONNX graph; `origin` names it in messages.

    Raises:
        OperatorError: not ONNX, or not a streaming graph of this project.
    """
    try:
        session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).splitlines()[0]
        raise OperatorError(f"{origin} is no ONNX graph that onnxruntime loads: {reason}") from error
    shapes: dict[str, list[Any]] = {t.name: t.shape for t in (*session.get_inputs(), *session.get_outputs())}
    states = [t.name.removeprefix("state_") for t in session.get_inputs() if t.name.startswith("state_")]
    missing = [
        name
        for name in ("samples", "posteriors", "log_mel", *(f"next_state_{state}" for state in states))
        if name not in shapes
    ]
    if missing:
        raise OperatorError(f"{origin} has no {missing[0]!r}; export it with `trainer-cli quantize`")
    return GraphInterface(
        label_count=_fixed(shapes["posteriors"][-1], "posteriors", origin),
        mels=_fixed(shapes["log_mel"][-1], "log_mel", origin),
        mel_range_hz=_mel_range(session, origin),
        state_tensors=tuple(
            StateTensor(
                name=name, shape=tuple(_fixed(size, f"state_{name}", origin) for size in shapes[f"state_{name}"][1:])
            )
            for name in states
        ),
    )


def bare_manifest(model: bytes, origin: str, labels: tuple[str, ...], presets: Presets) -> BundleManifest:
    """Return a manifest to run a graph that was never packaged; lineage and reference clips are empty stand-ins.

    Raises:
        OperatorError: not a streaming graph, or its columns are not as many as `labels`.
    """
    interface = read_interface(model, origin)
    check_labels(interface, labels, origin)
    return BundleManifest(
        schema=1,
        name="bare",
        version=__version__,
        labels=labels,
        sample_rate_hz=SAMPLE_RATE_HZ,
        mel_hop_samples=MEL_HOP_SAMPLES,
        hop_samples=HOP_SAMPLES,
        mels=interface.mels,
        mel_range_hz=interface.mel_range_hz,
        state_tensors=interface.state_tensors,
        presets=presets,
        metrics={},
        lineage=Lineage(dataset_sha256=NO_HASH, code_version=__version__, recipe="none", seed=0),
        licence="none stated",
        audio_licences={},
        min_node_version=__version__,
        reference_clips=(ReferenceClip(audio="none", posteriors="none", tolerance=0.5),),
        files={MODEL_NAME: NO_HASH},
    )


def check_labels(interface: GraphInterface, labels: tuple[str, ...], origin: str) -> None:
    """Raise OperatorError unless the graph has one column for each label."""
    if interface.label_count != len(labels):
        raise OperatorError(
            f"{origin} gives {interface.label_count} posteriors a frame, but the labels are {', '.join(labels)}; "
            "name them all with --label, in the order of training"
        )


def _mel_range(session: onnxruntime.InferenceSession, origin: str) -> MelRange:
    """Read the range from the graph's metadata; graphs exported before it was there have the usual one."""
    text = session.get_modelmeta().custom_metadata_map.get(MEL_RANGE_KEY)
    if text is None:
        return MEL_RANGE_HZ
    try:
        low_hz, high_hz = (float(edge) for edge in json.loads(text))
    except (TypeError, ValueError) as error:
        raise OperatorError(f"{origin}: its metadata {MEL_RANGE_KEY} is {text}, not two edges in Hz") from error
    return low_hz, high_hz


def _fixed(size: Any, name: str, origin: str) -> int:
    if not isinstance(size, int):
        raise OperatorError(f"{origin}: {name} has a size that is not fixed ({size}); export it again")
    return size
