"""Events of audio files, at full speed: the node's own pipeline with a state that starts anew for every file."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.contract.names import SIREN
from earshot_node.contract.operating_point import PRESET_SENSITIVITY, PresetName
from earshot_node.errors import AudioFileError, OperatorError
from earshot_node.inference.bundle import Bundle
from earshot_node.inference.facts import Fact, Frames, Offset, SoundEvent
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline, Points
from earshot_node.worker_pool import worker_pool

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".au", ".caf", ".w64"})


@dataclass(frozen=True, slots=True)
class FileAnalysis:
    """What one file holds.

    Attributes:
        path: the file.
        duration_s: its length.
        events: in order of their offset, all ended.
        posteriors: float32[frames, labels].
        problem: one line when it could not be read (to its end); the rest then says what was heard until there.
    """

    path: Path
    duration_s: float
    events: tuple[SoundEvent, ...]
    posteriors: NDArray[np.float32]
    problem: str = ""


class Analyzer:
    """Analyzes one file after another with one model.

    Args:
        bundle: the model and its presets.
        preset: the operating points to decide by.
        labels: whose events are told; posteriors of others may be worth nothing.
    """

    def __init__(self, bundle: Bundle, preset: PresetName = "balanced", labels: Collection[str] = (SIREN,)) -> None:
        self._bundle = bundle
        self._model = StreamingModel(bundle.manifest, bundle.model, labels)
        sensitivity = PRESET_SENSITIVITY[preset]
        presets = bundle.manifest.presets
        self._points: Points = {label: presets.at(label, sensitivity) for label in labels if label in presets.balanced}

    def analyze(self, path: Path) -> FileAnalysis:
        """Return what the file holds; an unreadable one has a `problem`."""
        pipeline = Pipeline(self._model, lambda _: self._points)
        rows = [np.zeros((0, len(self._bundle.manifest.labels)), np.float32)]
        events: list[SoundEvent] = []

        def keep(facts: Iterable[Fact]) -> None:
            for fact in facts:
                if isinstance(fact, Frames):
                    rows.append(fact.posteriors)
                elif isinstance(fact, Offset):
                    events.append(fact.event)

        position, problem = 0, ""
        try:
            for samples in read_audio_file(path):
                keep(pipeline.push([Block("file", 0, position, samples, 0.0, 0.0)]))
                position += len(samples)
        except AudioFileError as error:
            problem = str(error)
        keep(pipeline.flush("file"))
        return FileAnalysis(path, position / SAMPLE_RATE_HZ, tuple(events), np.concatenate(rows), problem)


def find_audio_files(paths: Iterable[Path]) -> list[Path]:
    """Return files as given and, for folders, every audio file below them, sorted.

    Raises:
        OperatorError: a path does not exist, or a folder holds no audio file.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in AUDIO_SUFFIXES and p.is_file())
            if not inside:
                raise OperatorError(
                    f"{path}: no audio files in this folder (looked for {' '.join(sorted(AUDIO_SUFFIXES))})"
                )
            found.extend(inside)
        elif path.exists():
            found.append(path)
        else:
            raise OperatorError(f"{path}: no such file or folder; check the path")
    return found


def analyze_files(
    paths: Sequence[Path],
    bundle: Bundle,
    preset: PresetName = "balanced",
    jobs: int = 1,
    labels: Collection[str] = (SIREN,),
) -> Iterator[FileAnalysis]:
    """Analyze files in order, `jobs` at a time, each with a fresh state."""
    if jobs <= 1 or len(paths) <= 1:
        yield from map(Analyzer(bundle, preset, labels).analyze, paths)
        return
    with worker_pool(min(jobs, len(paths)), _start_worker, bundle, preset, labels) as pool:
        yield from pool.map(_analyze_in_worker, paths)


_worker: list[Analyzer] = []


def _start_worker(bundle: Bundle, preset: PresetName, labels: Collection[str]) -> None:
    _worker.append(Analyzer(bundle, preset, labels))


def _analyze_in_worker(path: Path) -> FileAnalysis:
    return _worker[0].analyze(path)
