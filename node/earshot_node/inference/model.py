"""The streaming model in onnxruntime: samples and state in, posteriors and new state out."""

import contextlib
import ctypes
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from earshot_node.audio.block import Samples
from earshot_node.contract.manifest import WANTED_STATE, BundleManifest
from earshot_node.errors import BundleError

ModelState = tuple[NDArray[np.float32], ...]


@dataclass(frozen=True, slots=True)
class ModelOutput:
    """What one call gives.

    Attributes:
        posteriors: float32[batch, hops, labels], 0 to 1.
        log_mel: float32[batch, hops * mel frames per hop, mels].
        states: one per row, for the row's next call.
    """

    posteriors: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    states: list[ModelState]


class StreamingModel:
    """A bundle's graph in one onnxruntime session, one thread.

    A row's output depends on its own samples and state alone, not on its neighbours in the batch nor on how many hops a
    call holds (up to rounding).

    Args:
        manifest: of the bundle.
        model: its graph.
        wanted: labels that are listened for; None for all. Posteriors of others may be worth nothing.

    Raises:
        BundleError: the graph cannot be loaded or does not have the inputs and outputs that its manifest names.
    """

    def __init__(self, manifest: BundleManifest, model: bytes, wanted: Collection[str] | None = None) -> None:
        self.manifest = manifest
        self._wanted = manifest.labels if wanted is None else wanted
        self._session = _open_session(model)
        self._state_names = [f"state_{state.name}" for state in manifest.state_tensors]
        self._outputs = ["posteriors", "log_mel", *(f"next_state_{state.name}" for state in manifest.state_tensors)]
        self._check_interface()

    def initial_state(self) -> ModelState:
        """Return the state of a stream that has heard nothing."""
        return tuple(
            np.full((1, *state.shape), self._begins_with(state.name), np.float32)
            for state in self.manifest.state_tensors
        )

    def run(self, samples: Samples, states: Sequence[ModelState]) -> ModelOutput:
        """Advance every row by the same number of hops.

        Args:
            samples: float32[batch, hops * hop_samples] at 16 kHz.
            states: one per row.
        """
        feeds: dict[str, NDArray[np.float32]] = {"samples": samples}
        if len(states) == 1:
            feeds.update(zip(self._state_names, states[0], strict=True))
        else:
            rows = zip(*states, strict=True)
            feeds.update({name: np.concatenate(row) for name, row in zip(self._state_names, rows, strict=True)})
        posteriors, log_mel, *new = self._session.run(self._outputs, feeds)
        if len(states) == 1:
            return ModelOutput(posteriors, log_mel, [tuple(new)])
        # Rows are copied, so that a stream that pauses does not keep its former neighbours' state alive.
        return ModelOutput(
            posteriors, log_mel, [tuple(tensor[i : i + 1].copy() for tensor in new) for i in range(len(states))]
        )

    def _begins_with(self, state: str) -> float:
        return float(state.startswith(WANTED_STATE) and state.removeprefix(WANTED_STATE) in self._wanted)

    def _check_interface(self) -> None:
        inputs = {tensor.name for tensor in self._session.get_inputs()}
        outputs = {tensor.name for tensor in self._session.get_outputs()}
        missing = ({"samples", *self._state_names} ^ inputs) | (set(self._outputs) - outputs)
        if missing:
            raise BundleError(f"the model's graph and its manifest disagree about {', '.join(sorted(missing))}")


def _open_session(model: bytes) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(f"the model's graph cannot be loaded: {str(error).splitlines()[0]}") from error
    _give_memory_back()
    return session


def _give_memory_back() -> None:
    """Let the C library return what it keeps for later: loading restores weights and takes several times what stays.

    Only glibc keeps that much, and only there is it asked.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
