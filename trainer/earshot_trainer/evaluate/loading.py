"""From a file that a person names to the subject that it is."""

from pathlib import Path

from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject


def load_subject(path: Path | None, labels: tuple[str, ...] = ("siren",)) -> Subject:
    """Open a bundle, an `.onnx` graph with these labels, a `.tflite` tagger or, without a path, the shipped model.

    Raises:
        BundleError: a damaged or incompatible bundle.
        OperatorError: the file cannot be read or is neither a streaming graph nor a tagger.
    """
    if path is None:
        bundle = load_bundled()
        return BundleSubject.of_bundle(bundle, bundle.origin)
    if path.suffix == ".tflite":
        return TaggerSubject.open(path)
    if path.suffix == ".onnx":
        return BundleSubject.of_graph(path, labels)
    return BundleSubject.of_bundle(load_bundle_unsigned(path), path.name)
