"""One `trainer-cli quantize`: float graph, calibration audio, INT8 graph, and what was measured."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.table import Table

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache, default_cache_dir
from earshot_trainer.corpus.recordings import Recording, dataset_hash, expand_path, load_manifests
from earshot_trainer.graph.export import export_float
from earshot_trainer.graph.quantize import QuantizationReport, quantize_model
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.second_opinion.adding import SECOND_NAME, add_second_opinion
from earshot_trainer.training.command import load_network
from earshot_trainer.training.run_record import load_run, record_graphs

FLOAT_NAME = "model.float.onnx"
INT8_NAME = "model.int8.onnx"
REPORT_NAME = "quantization.json"
CLIP_S = 4.0
FEWEST_CLIPS = 4


@dataclass(frozen=True)
class QuantizeRequest:
    """What the command line asked for."""

    model: Path
    manifests: tuple[str, ...]
    out: Path
    clips: int = 48
    seed: int = 1
    cache: Path | None = None


def run_quantization(request: QuantizeRequest, console: Console | None = None) -> Path:
    """Write the float and the INT8 graph and the report into `out`, and their hashes into the model's `run.json`.

    Calibrates on nothing but recordings that the model was trained on. Returns the INT8 graph's path.

    Raises:
        OperatorError: the model or the manifests cannot be used.
    """
    console = console or Console(stderr=True)
    network = load_network(request.model)
    run = load_run(request.model.parent)
    recordings = load_manifests([expand_path(text) for text in request.manifests])
    picked = pick_calibration([r for r in recordings if r.group in run.training_groups], request.clips, request.seed)
    clips = calibration_clips(picked, request.seed, request.cache or default_cache_dir())
    console.print(f"calibrating on {len(clips)} clips of {CLIP_S:g} s, half of them sirens where there are enough")
    request.out.mkdir(parents=True, exist_ok=True)
    float_path, int8_path = request.out / FLOAT_NAME, request.out / INT8_NAME
    export_float(network, float_path)
    report = quantize_model(float_path, clips, int8_path)
    second_path = request.model.with_name(SECOND_NAME)
    if second_path.exists():
        add_second_opinion(second_path, network.config, float_path, int8_path)
        report = replace(report, file_bytes=int8_path.stat().st_size)
    report_path = request.out / REPORT_NAME
    calibration = {"dataset_sha256": dataset_hash(picked), "clips": len(picked), "seed": request.seed}
    values = report.to_dict() | {"calibration": calibration}
    report_path.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    record_graphs(
        request.model.parent, {hashlib.sha256(p.read_bytes()).hexdigest(): p.name for p in (float_path, int8_path)}
    )
    _print_report(console, report, float_path)
    console.print(f"wrote {float_path}, {int8_path} and {report_path}")
    console.print("next: trainer-cli evaluate --help")
    return int8_path


def pick_calibration(recordings: Sequence[Recording], count: int, seed: int) -> list[Recording]:
    """At most `count` recordings in random order, half of them sirens where there are enough.

    Raises:
        OperatorError: too few recordings.
    """
    rng = np.random.default_rng(seed)
    sirens = [recording for recording in recordings if recording.is_siren]
    others = [recording for recording in recordings if not recording.is_siren]
    siren_count = min(len(sirens), count // 2)
    other_count = min(len(others), count - siren_count)
    if siren_count + other_count < FEWEST_CLIPS:
        raise OperatorError(
            f"calibration needs at least {FEWEST_CLIPS} recordings of those that the model was trained on; "
            "name the manifests of its training with --data"
        )
    picked = [sirens[i] for i in rng.permutation(len(sirens))[:siren_count]]
    picked += [others[i] for i in rng.permutation(len(others))[:other_count]]
    return [picked[i] for i in rng.permutation(len(picked))]


def calibration_clips(picked: Sequence[Recording], seed: int, cache_folder: Path) -> npt.NDArray[np.float32]:
    """Clips [picked, 4 s] from random places; shorter recordings are padded with silence."""
    rng = np.random.default_rng(seed)
    cache = PcmCache(cache_folder)
    cache.add(picked)
    clips = np.zeros((len(picked), int(CLIP_S * SAMPLE_RATE_HZ)), dtype=np.float32)
    for row, recording in enumerate(picked):
        samples = cache.samples(recording)
        start = int(rng.integers(0, max(1, len(samples) - clips.shape[1] + 1)))
        piece = samples[start : start + clips.shape[1]]
        clips[row, : len(piece)] = piece.astype(np.float32) / 32768.0
    return clips


def _print_report(console: Console, report: QuantizationReport, float_path: Path) -> None:
    table = Table("candidate", "mean deviation", "greatest", "time of a hop", "bytes", "verdict")
    for candidate in report.candidates:
        table.add_row(
            candidate.name,
            f"{candidate.mean_deviation:.5f}",
            f"{candidate.greatest_deviation:.4f}",
            f"{candidate.relative_time:.2f}",
            str(candidate.file_bytes),
            candidate.verdict,
        )
    console.print(table)
    operators = Table("layer", "operator", "weights", "numbers", "activations")
    for operator in (row for row in report.operators if row.weights != "none"):
        operators.add_row(
            operator.layer, operator.kind, operator.weights, str(operator.weight_count), operator.activations
        )
    console.print(operators)
    console.print(
        f"chosen: {report.chosen}; weights {report.int8_weight_bytes} of {report.float_weight_bytes} bytes "
        f"({report.weight_share:.0%}); file {report.file_bytes} bytes, float {float_path.stat().st_size}"
    )
