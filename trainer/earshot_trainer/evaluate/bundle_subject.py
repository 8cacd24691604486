"""A bundle, or a graph that has none yet, heard through the node's own analysis and pipeline."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.analysis import Analyzer
from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.contract.manifest import MODEL_NAME
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.facts import Frames
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.subject import STAND_IN, Heard, Subject, describe_subject, stand_in_presets
from earshot_trainer.packaging.graph import bare_manifest

BLOCK_SAMPLES = 10 * SAMPLE_RATE_HZ


@dataclass(frozen=True)
class BundleSubject:
    """One streaming model; see `Subject`.

    Attributes:
        title: what to call it in tables.
        bundle: the model with its presets; a bare graph has a stand-in manifest.
        presets_origin: where its operating points come from.
    """

    title: str
    bundle: Bundle
    presets_origin: str
    _models: dict[str | None, StreamingModel] = field(default_factory=dict, init=False, repr=False, compare=False)
    _analyzers: list[Analyzer] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def of_bundle(cls, bundle: Bundle, title: str) -> "BundleSubject":
        """Wrap a bundle that was opened."""
        return cls(title, bundle, "the bundle's presets")

    @classmethod
    def of_graph(cls, path: Path, labels: tuple[str, ...]) -> "BundleSubject":
        """Open a bare `.onnx` graph whose columns are `labels`.

        Raises:
            OperatorError: the file cannot be read or is no streaming graph.
        """
        try:
            model = path.read_bytes()
        except OSError as error:
            raise OperatorError(f"cannot read {path}: {error.strerror}; make it with `trainer-cli quantize`") from error
        manifest = bare_manifest(model, str(path), labels, stand_in_presets(labels))
        bare = Bundle(str(path), manifest, {MODEL_NAME: model}, signed=False)
        return cls(path.name, bare, f"{STAND_IN} for a bare graph")

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its posteriors."""
        return self.bundle.manifest.labels

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""
        return self.bundle.manifest.hop_s

    @property
    def presets(self) -> Presets:
        """Its operating points."""
        return self.bundle.manifest.presets

    @property
    def model_sha256(self) -> str:
        """Hash of the graph."""
        return hashlib.sha256(self.bundle.model).hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return JSON types for the report."""
        version = self.bundle.manifest.version
        return describe_subject(self, kind="streaming", version=version, model_bytes=len(self.bundle.model))

    def with_presets(self, presets: Presets, origin: str) -> "BundleSubject":
        """Return the same model deciding by other presets."""
        manifest = self.bundle.manifest.model_copy(update={"presets": presets})
        return replace(self, bundle=replace(self.bundle, manifest=manifest), presets_origin=origin)

    def for_recordings(self, recordings: Sequence[Recording]) -> "BundleSubject":  # noqa: ARG002
        """Return itself: one model hears everything."""
        return self

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        """Hear files by the node's analysis."""
        yield from map_with_subject(_hear_file, self, paths, jobs)

    def hear_file(self, path: Path) -> Heard:
        """Hear one file by the node's analysis."""
        if not self._analyzers:
            self._analyzers.append(Analyzer(self.bundle, labels=self.labels))
        analysis = self._analyzers[0].analyze(path)
        return Heard(analysis.duration_s, analysis.posteriors, analysis.problem)

    def score_audio(self, samples: NDArray[np.float32], label: str | None = None) -> NDArray[np.float32]:
        """Hear float32[n] at 16 kHz by the node's pipeline; returns float32[frames, labels]."""
        if label not in self._models:
            wanted = None if label is None else (label,)
            self._models[label] = StreamingModel(self.bundle.manifest, self.bundle.model, wanted)
        pipeline = Pipeline(self._models[label], lambda _: {})
        rows = [np.zeros((0, len(self.labels)), np.float32)]
        for start in range(0, len(samples), BLOCK_SAMPLES):
            block = np.ascontiguousarray(samples[start : start + BLOCK_SAMPLES], np.float32)
            facts = pipeline.push([Block("audio", 0, start, block, 0.0, 0.0)])
            rows.extend(fact.posteriors for fact in facts if isinstance(fact, Frames))
        return np.concatenate(rows)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_models": {}, "_analyzers": []}


def _hear_file(subject: Subject, path: Path) -> Heard:
    assert isinstance(subject, BundleSubject)
    return subject.hear_file(path)
