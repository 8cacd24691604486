"""A published TFLite tagger under the same measurement as Earshot's own models; a development extra.

The tagger hears windows of 0.975 s, a new one every 0.4875 s. Its score of a window counts from the window's end on and
is held until the next, as a program that listens with it would know it; the result is laid on a 40 ms grid.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.file_reader import read_audio_file
from earshot_node.contract.operating_point import Presets
from earshot_node.errors import AudioFileError, OperatorError
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.corpus.words import label_words
from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.subject import STAND_IN, Heard, Subject, describe_subject, stand_in_presets
from earshot_trainer.training.teacher import HOP_SAMPLES, NAME, SIREN_CLASSES, WINDOW_SAMPLES, Teacher, greatest_of

HEARD_AS = {"siren": SIREN_CLASSES} | {label: words.heard_as for label, words in label_words().items()}
LABELS = tuple(HEARD_AS)
GRID_SAMPLES = 640


@dataclass(frozen=True)
class TaggerSubject:
    """A TFLite tagger with its class map beside it, one thread; see `Subject`.

    Its posterior of a label is the highest score of the classes that stand for it.
    """

    model: Path
    digest: str
    model_bytes: int
    presets: Presets = field(default_factory=lambda: stand_in_presets(LABELS))
    presets_origin: str = f"{STAND_IN} for a tagger"
    title: str = NAME
    _opened: list[Teacher] = field(default_factory=list, init=False, repr=False, compare=False)

    @classmethod
    def open(cls, model: Path) -> "TaggerSubject":
        """Load the tagger once, to see that it works.

        Raises:
            OperatorError: a file or the interpreter is missing or broken.
        """
        if not model.is_file():
            raise OperatorError(f"{model}: no such file; name the tagger's .tflite with its class map beside it")
        if importlib.util.find_spec("ai_edge_litert") is None:
            raise OperatorError(
                f"{model}: a TFLite tagger needs ai-edge-litert; use scripts/trainer or `pip install -e '.[teacher]'`"
            )
        return cls(model, Teacher(model).digest, model.stat().st_size)

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its posteriors."""
        return LABELS

    @property
    def hop_s(self) -> float:
        """Seconds between rows of the grid; scores change every 0.4875 s."""
        return GRID_SAMPLES / SAMPLE_RATE_HZ

    @property
    def model_sha256(self) -> str:
        """Hash of the TFLite file."""
        return self.digest

    def describe(self) -> dict[str, Any]:
        """Return JSON types for the report."""
        own = {
            "window_s": WINDOW_SAMPLES / SAMPLE_RATE_HZ,
            "window_hop_s": HOP_SAMPLES / SAMPLE_RATE_HZ,
            "score": "highest score of a label's classes, counted from its window's end on, held until the next",
        }
        return describe_subject(self, kind="tagger", version="", model_bytes=self.model_bytes) | own

    def with_presets(self, presets: Presets, origin: str) -> "TaggerSubject":
        """Return the same tagger deciding by other presets."""
        return replace(self, presets=presets, presets_origin=origin)

    def for_recordings(self, recordings: Sequence[Recording]) -> "TaggerSubject":  # noqa: ARG002
        """Return itself: one model hears everything."""
        return self

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        """Hear files; silence follows each, so that its last window, padded, counts as long as every other."""
        yield from map_with_subject(_hear_file, self, paths, jobs)

    def score_audio(
        self,
        samples: NDArray[np.float32],
        label: str | None = None,  # noqa: ARG002
    ) -> NDArray[np.float32]:
        """Hear float32[n] at 16 kHz; returns float32[n // 640, labels]."""
        return on_grid(self._scores(samples), len(samples) // GRID_SAMPLES)

    def score_to_the_last_window(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        """Hear float32[n] and silence until the last window's score has been held; returns float32[frames, labels]."""
        scores = self._scores(samples)
        until = WINDOW_SAMPLES + len(scores) * HOP_SAMPLES
        return on_grid(scores, max(len(samples), until) // GRID_SAMPLES)

    def _scores(self, samples: NDArray[np.float32]) -> NDArray[np.float32]:
        if not self._opened:
            self._opened.append(Teacher(self.model))
        teacher = self._opened[0]
        scores = teacher.score(to_int16(samples))
        return np.stack([greatest_of(teacher, scores, classes) for classes in HEARD_AS.values()], axis=1)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": []}


def on_grid(scores: NDArray[np.float32], frames: int) -> NDArray[np.float32]:
    """Return float32[frames, labels]: at each frame's end the scores of the newest window that has ended, else 0.

    `scores` are float32[windows, labels].
    """
    end_sample = (np.arange(frames) + 1) * GRID_SAMPLES
    newest = (end_sample - WINDOW_SAMPLES) // HOP_SAMPLES
    held = scores[np.clip(newest, 0, len(scores) - 1)]
    return np.where(newest[:, None] >= 0, held, 0.0).astype(np.float32)


def _hear_file(subject: Subject, path: Path) -> Heard:
    assert isinstance(subject, TaggerSubject)
    blocks = [np.zeros(0, np.float32)]
    problem = ""
    try:
        blocks.extend(read_audio_file(path))
    except AudioFileError as error:
        problem = str(error)
    samples = np.concatenate(blocks)
    return Heard(len(samples) / SAMPLE_RATE_HZ, subject.score_to_the_last_window(samples), problem)
