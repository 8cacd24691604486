"""From a file that a person names to the subject that it is."""

from pathlib import Path

from earshot_node.contract.names import SIREN
from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_trainer.evaluate.bundle_subject import BundleSubject
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagger_subject import TaggerSubject
from earshot_trainer.training.run_record import RUN_NAME, load_run


def load_subject(path: Path | None, labels: tuple[str, ...] = ()) -> Subject:
    """Open a bundle, an `.onnx` graph, a `.tflite` tagger or, without a path, the shipped model.

    Without `labels` those of a graph are the ones of the run that it lies with, else `siren` alone.

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
        return BundleSubject.of_graph(path, labels or _labels_beside(path))
    return BundleSubject.of_bundle(load_bundle_unsigned(path), path.name)


def _labels_beside(path: Path) -> tuple[str, ...]:
    return load_run(path.parent).labels if path.with_name(RUN_NAME).is_file() else (SIREN,)
