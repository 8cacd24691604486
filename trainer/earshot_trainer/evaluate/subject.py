"""What is measured: a bundle, or a graph that has none yet, ready for the node's own analysis."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from earshot_node.contract.manifest import MODEL_NAME
from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle, load_bundle_unsigned, load_bundled
from earshot_trainer.packaging.graph import bare_manifest

STAND_IN_POINT = OperatingPoint(enter=0.5, leave=0.35, min_length_s=0.2, bridging_s=1.0, cooldown_s=3.0)
"""Decides for a bare graph that was given no presets."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A model under measurement.

    Attributes:
        title: what to call it in tables.
        bundle: the model with its presets; a bare graph has a stand-in manifest.
        model_sha256: hash of the graph.
        presets_origin: where its operating points come from.
    """

    title: str
    bundle: Bundle
    model_sha256: str
    presets_origin: str

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its posteriors."""
        return self.bundle.manifest.labels

    def with_presets(self, presets: Presets, origin: str) -> "Subject":
        """Return the same model deciding by other presets."""
        manifest = self.bundle.manifest.model_copy(update={"presets": presets})
        return replace(self, bundle=replace(self.bundle, manifest=manifest), presets_origin=origin)


def load_subject(path: Path | None, labels: tuple[str, ...] = ("siren",)) -> Subject:
    """Open a bundle, a bare `.onnx` graph (its columns are `labels`), or, without a path, the shipped model.

    Raises:
        BundleError: a damaged or incompatible bundle.
        OperatorError: the file cannot be read or is no streaming graph.
    """
    if path is None:
        bundle = load_bundled()
        return _of_bundle(bundle, bundle.origin)
    if path.suffix != ".onnx":
        return _of_bundle(load_bundle_unsigned(path), path.name)
    try:
        model = path.read_bytes()
    except OSError as error:
        raise OperatorError(f"cannot read {path}: {error.strerror}; make it with `trainer-cli quantize`") from error
    points = dict.fromkeys(labels, STAND_IN_POINT)
    manifest = bare_manifest(model, str(path), labels, Presets(quiet=points, balanced=points, sensitive=points))
    bare = Bundle(str(path), manifest, {MODEL_NAME: model}, signed=False)
    return Subject(path.name, bare, _sha256(model), "stand-in for a bare graph")


def _of_bundle(bundle: Bundle, title: str) -> Subject:
    return Subject(title, bundle, _sha256(bundle.model), "the bundle's presets")


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
