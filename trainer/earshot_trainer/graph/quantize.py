"""From the float graph to the INT8 graph: several candidates, measured, and the choice with its reasons.

All weights are stored in INT8. Activations become INT8 only where that takes clearly less time, keeps the posteriors,
and leaves a stream independent of its neighbours and of how it is cut.
"""

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir

from earshot_node.errors import OperatorError
from earshot_trainer.graph.activations import GROUPS, quantize_activations
from earshot_trainer.graph.latency import call_times_s
from earshot_trainer.graph.operator_table import Operator, operator_table, stored_bytes
from earshot_trainer.graph.session import Array, GraphSession
from earshot_trainer.graph.weights import store_weights_as_int8
from earshot_trainer.network.architecture import HOP_SAMPLES

WEIGHTS_ONLY = "weights"
ACCURACY_LIMIT = 0.01
"""Mean difference of a posterior from the float graph that a candidate may show."""
INDEPENDENCE_LIMIT = 1e-3
"""Greatest difference of a posterior when the audio is cut differently or has a loud neighbour."""
BLOCK_HOPS = 250
"""Of recordings, which are read in blocks of ten seconds; a microphone is heard hop by hop."""
WORTHWHILE_TIME = 0.95
"""INT8 activations must take at most this share of the time that float ones take: the geometric mean of both calls."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One way to quantize, measured against the float graph.

    Attributes:
        name: `weights`, or the group of operators whose activations are INT8 too.
        mean_deviation, greatest_deviation: of a posterior from the float graph's.
        independence_deviation: of a posterior, cut into hops and beside a loud neighbour, from the same clip alone.
        relative_time: of a call with one hop, to the graph with INT8 weights only, measured in turns.
        relative_block_time: the same of a call with BLOCK_HOPS.
        file_bytes: of the file.
        verdict: why it was chosen or not.
    """

    name: str
    mean_deviation: float
    greatest_deviation: float
    independence_deviation: float
    relative_time: float
    relative_block_time: float
    file_bytes: int
    verdict: str

    @property
    def time(self) -> float:
        """Relative time of both kinds of call, each counting as much as the other."""
        return math.sqrt(self.relative_time * self.relative_block_time)


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What was tried, what was chosen and what the result is made of."""

    chosen: str
    candidates: tuple[Candidate, ...]
    float_weight_bytes: int
    int8_weight_bytes: int
    file_bytes: int
    operators: tuple[Operator, ...]

    @property
    def weight_share(self) -> float:
        """Bytes of stored tensors relative to the float graph's."""
        return self.int8_weight_bytes / self.float_weight_bytes

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and the model card."""
        return asdict(self) | {"weight_share": round(self.weight_share, 4)}


def quantize_model(
    float_path: Path,
    calibration: Array,
    out_path: Path,
    *,
    groups: Sequence[str] = GROUPS,
    timed_calls: int = 600,
) -> QuantizationReport:
    """Write the INT8 graph to `out_path` and say how it was chosen.

    Args:
        float_path: what `export_float` wrote.
        calibration: float32[clips, samples], 16 kHz; at least four clips, sirens and others. Every other clip gives
            the scales, the rest the deviations.
        out_path: appears whole or not at all.
        groups: which operators to try with INT8 activations; none leaves every activation in float.
        timed_calls: calls for each measurement of time.

    Raises:
        OperatorError: too few clips.
    """
    if len(calibration) < 4:
        raise OperatorError(f"quantization needs at least four clips to calibrate on, got {len(calibration)}")
    calibration = calibration[:, : calibration.shape[1] // HOP_SAMPLES * HOP_SAMPLES].astype(np.float32)
    scales, held_out = calibration[0::2], calibration[1::2]
    with tempfile.TemporaryDirectory() as folder:
        paths = {WEIGHTS_ONLY: Path(folder) / "weights.onnx"}
        _store_weights(float_path, paths[WEIGHTS_ONLY])
        for group in groups:
            paths[group] = Path(folder) / f"{group}.onnx"
            quantize_activations(float_path, scales, group, paths[group])
            _store_weights(paths[group], paths[group])
        expected = GraphSession(float_path).run_clips(held_out)
        candidates = [
            _measure(name, path, paths[WEIGHTS_ONLY], expected, held_out, timed_calls) for name, path in paths.items()
        ]
        chosen = _choose(candidates)
        partial = out_path.with_name(f"{out_path.name}.partial")
        shutil.copyfile(paths[chosen], partial)
        os.replace(partial, out_path)  # noqa: PTH105
    return QuantizationReport(
        chosen=chosen,
        candidates=tuple(candidates),
        float_weight_bytes=stored_bytes(float_path),
        int8_weight_bytes=stored_bytes(out_path),
        file_bytes=out_path.stat().st_size,
        operators=tuple(operator_table(out_path)),
    )


def _store_weights(source: Path, out: Path) -> None:
    model = onnx_ir.load(source)
    store_weights_as_int8(model)
    onnx_ir.save(model, out)


def _measure(name: str, path: Path, reference: Path, expected: Array, clips: Array, timed_calls: int) -> Candidate:
    deviation = np.abs(GraphSession(path).run_clips(clips) - expected)
    independence = independence_deviation(path, clips[:2])
    relative_time = relative_block_time = 1.0
    if path != reference:
        relative_time = _relative_time(path, reference, timed_calls, 1)
        relative_block_time = _relative_time(path, reference, max(3, timed_calls // BLOCK_HOPS * 10), BLOCK_HOPS)
    candidate = Candidate(
        name=name,
        mean_deviation=float(deviation.mean()),
        greatest_deviation=float(deviation.max()),
        independence_deviation=independence,
        relative_time=relative_time,
        relative_block_time=relative_block_time,
        file_bytes=path.stat().st_size,
        verdict="",
    )
    return replace(candidate, verdict=_verdict(candidate))


def _relative_time(path: Path, reference: Path, calls: int, hops: int) -> float:
    base_s, own_s = call_times_s([reference, path], calls, hops)
    return own_s / base_s


def _verdict(candidate: Candidate) -> str:
    if candidate.name == WEIGHTS_ONLY:
        return "eligible"
    if not candidate.mean_deviation <= ACCURACY_LIMIT:
        return f"posteriors move by more than {ACCURACY_LIMIT:g} on average"
    if not candidate.independence_deviation <= INDEPENDENCE_LIMIT:
        return f"posteriors depend on cut or neighbour by more than {INDEPENDENCE_LIMIT:g}"
    if candidate.time > WORTHWHILE_TIME:
        return f"not worth it: takes {candidate.time:.1%} of the time"
    return "eligible"


def _choose(candidates: list[Candidate]) -> str:
    return min((c for c in candidates if c.verdict == "eligible"), key=lambda c: c.time).name


def independence_deviation(path: Path, clips: Array) -> float:
    """Return how far posteriors of clips [clips, samples] move when cut into hops beside a full-scale neighbour."""
    session = GraphSession(path)
    hops = clips.shape[1] // HOP_SAMPLES
    loud = np.random.default_rng(1).uniform(-1, 1, (clips.shape[1],)).astype(np.float32)
    greatest = 0.0
    for clip in clips:
        alone = session.run(clip[None, : hops * HOP_SAMPLES]).posteriors[0]
        pair, state = np.stack([clip, loud]), session.initial_state(2)
        for hop in range(hops):
            output = session.run(pair[:, hop * HOP_SAMPLES : (hop + 1) * HOP_SAMPLES], state)
            state = output.state
            greatest = max(greatest, float(np.abs(output.posteriors[0, 0] - alone[hop]).max()))
    return greatest
