"""One `trainer-cli package`: collect, describe, seal, verify, and on request ship."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from earshot_node.contract.manifest import MODEL_CARD_NAME, MODEL_NAME, BundleManifest, Lineage
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle, load_bundled
from earshot_node.inference.self_test import SelfTest
from earshot_trainer.evaluate.console import say
from earshot_trainer.evaluate.presets import ChosenOn, load_presets_file
from earshot_trainer.network.architecture import HOP_SAMPLES, MEL_HOP_SAMPLES, SAMPLE_RATE_HZ
from earshot_trainer.packaging.base import install_base
from earshot_trainer.packaging.better import compare_with_shipped, is_better, print_pairs
from earshot_trainer.packaging.figures import (
    HELD_OUT,
    OPERATING_POINTS,
    condense,
    held_out_reports,
    load_metrics,
    operating_point_figures,
)
from earshot_trainer.packaging.graph import check_labels, read_interface
from earshot_trainer.packaging.held_out import check_held_out, check_made_by, points_chosen_on
from earshot_trainer.packaging.install import bundled_folder, install_bundled
from earshot_trainer.packaging.keys import load_key, public_key_text
from earshot_trainer.packaging.model_card import CardFacts, write_model_card
from earshot_trainer.packaging.reference import measure_references
from earshot_trainer.packaging.writer import seal, write_verified
from earshot_trainer.training.run_record import RunRecord, load_run

MIN_NODE_VERSION = "2026.11.0"
"""The first node that reads this manifest schema and runs this graph interface."""


@dataclass(frozen=True)
class PackageRequest:
    """What the command line asked for."""

    model: Path
    run: Path
    presets: Path
    metrics: tuple[str, ...]
    name: str
    version: str
    out: Path
    key: Path | None = None
    parent: str | None = None
    install: bool = False
    held_out_runs: tuple[Path, ...] = ()
    if_better: bool = False


def run_packaging(request: PackageRequest, console: Console | None = None) -> Path:
    """Write a verified bundle; returns its path.

    Raises:
        OperatorError: something in the request cannot be used.
        BundleError: a node would refuse what came out.
    """
    console = console or Console()
    key = load_key(request.key) if request.key else None
    run = load_run(request.run)
    metrics = load_metrics(request.metrics)
    model = _read(request.model)
    other_runs = {path.resolve().name: load_run(path) for path in request.held_out_runs}
    chosen = load_presets_file(request.presets)
    points = points_chosen_on(chosen.chosen_on, run, tuple(other_runs.values()))
    short = _points_in_short(chosen.chosen_on, metrics) if points == "held_out" else {}
    manifest = build_manifest(model, run, chosen.presets, short | condense(metrics), request)
    check_made_by(model, run)
    facts = CardFacts(
        run,
        whose=check_held_out(metrics, run, tuple(other_runs.values())),
        points=points,
        chosen_on=chosen.chosen_on.groups if chosen.chosen_on else frozenset(),
        metrics=metrics,
        other_runs=other_runs,
    )
    references = measure_references(manifest, model)
    manifest = manifest.model_copy(update={"reference_clips": tuple(reference.clip for reference in references)})
    files = {MODEL_NAME: model, MODEL_CARD_NAME: write_model_card(manifest, model, facts).encode()}
    for reference in references:
        files |= reference.files
    bundle, test = write_verified(seal(manifest, files, key), request.out, key)
    _tell(console, request, bundle, test, None if key is None else public_key_text(key))
    if request.install and (not request.if_better or _beats_shipped(request, metrics, manifest, console)):
        base = install_base(request.run, bundle)
        target = install_bundled(request.out, manifest.name, manifest.version, bundled_folder())
        say(console, f"installed as the shipped model: {target}; commit it with bundled.json")
        say(console, f"and as what retraining begins with: {base}; commit it with base.json")
    say(console, f"next: node-cli analyze --bundle {request.out} FILE")
    return request.out


def build_manifest(
    model: bytes, run: RunRecord, presets: Presets, metrics: dict[str, Any], request: PackageRequest
) -> BundleManifest:
    """Return the manifest of a graph and its run, still without reference clips and file hashes.

    Raises:
        OperatorError: graph, run, presets or names do not fit together.
    """
    interface = read_interface(model, str(request.model))
    check_labels(interface, run.labels, str(request.model))
    unknown = sorted(set(presets.balanced) - set(run.labels))
    if unknown:
        raise OperatorError(f"{request.presets}: {unknown[0]!r} is no label of the model ({', '.join(run.labels)})")
    try:
        # Through validation, since name and version come from the command line; hashes and clips follow when sealed.
        lineage = Lineage.model_validate(run.lineage().model_dump() | {"parent": request.parent})
        return BundleManifest(
            schema=1,
            name=request.name,
            version=request.version,
            labels=run.labels,
            sample_rate_hz=SAMPLE_RATE_HZ,
            mel_hop_samples=MEL_HOP_SAMPLES,
            hop_samples=HOP_SAMPLES,
            mels=interface.mels,
            mel_range_hz=interface.mel_range_hz,
            state_tensors=interface.state_tensors,
            presets=presets,
            metrics=metrics,
            lineage=lineage,
            licence=run.weights_licence(),
            audio_licences=run.licence_families(),
            min_node_version=MIN_NODE_VERSION,
            reference_clips=({"audio": "none", "posteriors": "none", "tolerance": 0.5},),
            files={},
        )
    except ValueError as error:
        lines = [line.strip() for line in str(error).splitlines()]
        raise OperatorError(f"cannot describe the bundle: {' '.join(lines[1:3])}") from error


def _beats_shipped(
    request: PackageRequest, metrics: dict[str, Any], manifest: BundleManifest, console: Console
) -> bool:
    """Compare with the shipped model, print it, and tell whether to install."""
    shipped = load_bundled().manifest
    runs = request.held_out_runs
    pairs = compare_with_shipped(metrics, shipped.metrics, runs, manifest.presets, console)
    print_pairs(console, pairs, shipped.version)
    if not is_better(pairs):
        say(console, f"not installed: {request.out} is there; --install without --if-better replaces the shipped model")
    return is_better(pairs)


def _points_in_short(chosen_on: ChosenOn | None, metrics: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest's metric of what the presets give; empty for presets without figures."""
    if chosen_on is None or not chosen_on.figures:
        return {}
    nested = [
        report["nested"]["by_label"]
        for report in held_out_reports(metrics).values()
        if "nested" in report and report["subject"]["model_sha256"] == chosen_on.model_sha256
    ]
    return {OPERATING_POINTS: condense(operating_point_figures(chosen_on.figures, nested[0] if nested else {}))}


def _tell(console: Console, request: PackageRequest, bundle: Bundle, test: SelfTest, public_key: str | None) -> None:
    manifest, size = bundle.manifest, request.out.stat().st_size
    say(console, f"read   {request.model}, {request.run}, {request.presets}")
    if not held_out_reports(manifest.metrics):
        say(console, f"note   no --metrics {HELD_OUT}=FILE: the model card has no held-out figures")
    labels, signed = ", ".join(manifest.labels), "signed" if public_key else "not signed"
    sizes = f"{size / 1000:.0f} kB, model {len(bundle.model) / 1000:.0f} kB"
    say(console, f"wrote  {request.out}: {manifest.version}, {sizes}, labels {labels}, {signed}")
    speed = f"{1 / test.real_time_factor:.0f} times real time hop by hop"
    say(console, f"tested with the node's loader and self-test: deviation {test.deviation:.2g}, {speed}")
    if public_key is not None:
        say(console, f'nodes trust it with model.trusted_keys: ["{public_key}"]')


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; make it with `trainer-cli quantize`") from error
