"""From a file that a person names to the subject that it is."""

from pathlib import Path

from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.subject import Subject


def load_subject(path: Path | None, labels: tuple[str, ...] = ("siren",)) -> Subject:
    """Open a bundle, a bare `.onnx` graph (its columns are `labels`), or, without a path, the shipped model.

    Raises:
        BundleError: a damaged or incompatible bundle.
        OperatorError: the file cannot be read or is no streaming graph.
    """
    if path is None:
        bundle = load_bundled()
        return BundleSubject.of_bundle(bundle, bundle.origin)
    if path.suffix == ".onnx":
        return BundleSubject.of_graph(path, labels)
    return BundleSubject.of_bundle(load_bundle_unsigned(path), path.name)
