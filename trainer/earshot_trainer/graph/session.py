"""An exported graph in onnxruntime, before it has a manifest: for export, quantization and their measurements."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from earshot_node.contract.manifest import WANTED_STATE
from earshot_trainer.network.architecture import HOP_SAMPLES

Array = NDArray[np.float32]
State = dict[str, Array]


@dataclass(frozen=True, slots=True)
class GraphOutput:
    """What a call gives: posteriors [batch, n, labels], log_mel [batch, 4n, mels] and the state for the next call."""

    posteriors: Array
    log_mel: Array
    state: State


class GraphSession:
    """One graph, one thread, as nodes run it; the caller carries the state."""

    def __init__(self, path: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.state_shapes: dict[str, tuple[int, ...]] = {
            tensor.name.removeprefix("state_"): tuple(tensor.shape[1:])
            for tensor in self._session.get_inputs()
            if tensor.name != "samples"
        }
        self._outputs = ["posteriors", "log_mel", *(f"next_state_{name}" for name in self.state_shapes)]

    def initial_state(self, batch: int) -> State:
        """Return the state of `batch` streams that have heard nothing and want to hear everything."""
        return {
            name: np.full((batch, *shape), float(name.startswith(WANTED_STATE)), np.float32)
            for name, shape in self.state_shapes.items()
        }

    def run(self, samples: Array, state: State | None = None) -> GraphOutput:
        """Advance by samples [batch, n * 640]; no state means the initial one."""
        if state is None:
            state = self.initial_state(len(samples))
        feeds = {"samples": samples} | {f"state_{name}": value for name, value in state.items()}
        posteriors, log_mel, *new = self._session.run(self._outputs, feeds)
        return GraphOutput(posteriors, log_mel, dict(zip(state, new, strict=True)))

    def run_clips(self, clips: Array, batch: int = 16) -> Array:
        """Return the posteriors [clips, n, labels] of clips [clips, samples], each from the initial state."""
        whole = clips[:, : clips.shape[1] // HOP_SAMPLES * HOP_SAMPLES]
        parts = [self.run(whole[start : start + batch]).posteriors for start in range(0, len(whole), batch)]
        return np.concatenate(parts)
