"""Scores of a published 521-class tagger as an optional teacher; a development extra, never part of a bundle.

The TFLite model takes 0.975 s of 16 kHz mono audio and returns class scores. Each recording is scored once and the
scores are kept on disk beside the decoded audio.
"""

import csv
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording, expand_path
from earshot_trainer.network.architecture import HOP_SAMPLES as DECISION_SAMPLES
from earshot_trainer.training.recipe import TeacherRecipe

NAME = "YAMNet"
LICENCE = "Apache-2.0"
WINDOW_SAMPLES = 15_600
HOP_SAMPLES = 7_800
SIREN_CLASSES = (
    "Siren",
    "Civil defense siren",
    "Police car (siren)",
    "Ambulance (siren)",
    "Fire engine, fire truck (siren)",
    "Emergency vehicle",
)
NAMES = "names.jsonl"
Scores = npt.NDArray[np.float32]
HalfScores = npt.NDArray[np.float16]


class Tagger(Protocol):
    """What can teach: named classes, a digest of its model, and scores of audio."""

    classes: tuple[str, ...]
    digest: str

    def score(self, samples: npt.NDArray[np.int16]) -> Scores:
        """Scores [rows, classes] of 16 kHz mono audio, one row per 0.4875 s."""


class Teacher:
    """The TFLite tagger with its class map beside it."""

    def __init__(self, model: Path) -> None:
        class_map = model.with_name("yamnet_class_map.csv")
        for path in (model, class_map):
            if not path.is_file():
                raise OperatorError(
                    f"the teacher's file {path} is missing; put yamnet.tflite and yamnet_class_map.csv there, or "
                    "train without a teacher: --set teacher=null"
                )
        try:
            from ai_edge_litert.interpreter import Interpreter
        except ImportError as error:
            raise OperatorError(
                "the teacher needs ai-edge-litert; in a checkout use scripts/trainer or "
                "`pip install -e '.[trainer,teacher]'`, or train without a teacher: --set teacher=null"
            ) from error
        try:
            self._interpreter: Any = Interpreter(model_path=str(model), num_threads=1)
            with class_map.open(newline="", encoding="utf-8") as stream:
                self.classes = tuple(row["display_name"] for row in csv.DictReader(stream))
        except (OSError, ValueError, KeyError) as error:
            raise OperatorError(f"cannot load the teacher {model}: {error}; fetch the file again") from error
        self._interpreter.allocate_tensors()
        self._input: int = self._interpreter.get_input_details()[0]["index"]
        self._output: int = self._interpreter.get_output_details()[0]["index"]
        self.path = model
        self.digest = hashlib.sha256(model.read_bytes()).hexdigest()

    def score(self, samples: npt.NDArray[np.int16]) -> Scores:
        """Scores [rows, classes]; the last row covers the zero-padded rest."""
        rows = 1 + max(0, -(-(len(samples) - WINDOW_SAMPLES) // HOP_SAMPLES))
        scores = np.zeros((rows, len(self.classes)), dtype=np.float32)
        for row in range(rows):
            window = samples[row * HOP_SAMPLES : row * HOP_SAMPLES + WINDOW_SAMPLES].astype(np.float32) / 32768.0
            self._interpreter.set_tensor(self._input, np.pad(window, (0, WINDOW_SAMPLES - len(window))))
            self._interpreter.invoke()
            scores[row] = self._interpreter.get_tensor(self._output).reshape(-1)
        return scores


def open_teacher(recipe: TeacherRecipe) -> Teacher:
    """Load the recipe's teacher.

    Raises:
        OperatorError: a file or the interpreter is missing, or it does not know a class of the recipe.
    """
    teacher = Teacher(expand_path(recipe.model))
    check_classes(teacher, recipe)
    return teacher


def check_classes(teacher: Tagger, recipe: TeacherRecipe) -> None:
    """Raise OperatorError unless the teacher knows every class of the recipe."""
    unknown = sorted(set(recipe.classes) - set(teacher.classes))
    if unknown:
        raise OperatorError(f"teacher.classes: the teacher does not know {unknown[0]!r}; see its class map")


def describe_teacher(teacher: Tagger) -> dict[str, str]:
    """Name, licence and sha256 for `run.json`, manifest and model card."""
    return {"name": NAME, "licence": LICENCE, "sha256": teacher.digest}


def greatest_of(teacher: Tagger, scores: Scores, classes: Sequence[str]) -> Scores:
    """The greatest score [rows] of those of some classes that the teacher knows; 0 if it knows none."""
    columns = [teacher.classes.index(name) for name in classes if name in teacher.classes]
    return np.asarray(scores[:, columns].max(axis=1, initial=0.0), dtype=np.float32)


def siren_column(teacher: Tagger, scores: Scores) -> Scores:
    """The greatest score of the siren classes, [rows]."""
    return greatest_of(teacher, scores, SIREN_CLASSES)


def teacher_scores(
    teacher: Tagger,
    recordings: Sequence[Recording],
    cache: PcmCache,
    folder: Path,
    progress: Callable[[int], None],
) -> Iterator[Scores]:
    """Scores of each recording in turn, computed once and kept as float16 under `folder`.

    Scores are kept by what a recording holds; `names.jsonl` remembers that by the recording's key, so that audio
    which was heard before is not read again. `progress` is called with 1 for each recording done.
    """
    home = folder / f"teacher-{teacher.digest[:16]}"
    home.mkdir(parents=True, exist_ok=True)
    names = _load_names(home / NAMES)
    for recording in recordings:
        key = cache.key(recording)
        if key not in names:
            names[key] = hashlib.sha256(cache.samples(recording).data).hexdigest()[:32]
            with (home / NAMES).open("a", encoding="utf-8") as stream:
                stream.write(json.dumps([key, names[key]]) + "\n")
        path = home / f"{names[key]}.npy"
        if not path.exists():
            temporary = path.with_suffix(f".{os.getpid()}.part")
            with temporary.open("wb") as stream_of_scores:
                np.save(stream_of_scores, teacher.score(cache.samples(recording)).astype(np.float16))
            temporary.replace(path)
        yield np.load(path).astype(np.float32)
        progress(1)


def _load_names(path: Path) -> dict[str, str]:
    names: dict[str, str] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            key, name = json.loads(line)
        except ValueError:
            continue  # a line cut by a kill: its recording is read again
        names[key] = name
    return names


@dataclass(frozen=True)
class TeacherOpinion:
    """What the teacher says of a corpus, by path.

    `classes`: scores [rows, recipe's classes] of each negative; `sirens`: siren scores [rows, 1] of each siren; both
    float16, 80 bytes a second for each 20 classes.
    """

    classes: dict[str, HalfScores]
    sirens: dict[str, HalfScores]


def ask_teacher(
    teacher: Tagger,
    recipe: TeacherRecipe,
    recordings: Sequence[Recording],
    cache: PcmCache,
    folder: Path,
    progress: Callable[[int], None] = lambda _: None,
) -> TeacherOpinion:
    """Scores of every recording, from disk where it was scored before; the teacher knows the recipe's classes."""
    columns = [teacher.classes.index(name) for name in recipe.classes]
    classes: dict[str, HalfScores] = {}
    sirens: dict[str, HalfScores] = {}
    for recording, rows in zip(recordings, teacher_scores(teacher, recordings, cache, folder, progress), strict=True):
        if recording.is_siren:
            sirens[str(recording.path)] = siren_column(teacher, rows)[:, None].astype(np.float16)
        else:
            classes[str(recording.path)] = rows[:, columns].astype(np.float16)
    return TeacherOpinion(classes=classes, sirens=sirens)


def scores_at(scores: Scores | HalfScores, start_sample: int, frames: int, samples: int) -> Scores:
    """Scores [frames, classes] of a looped recording of `samples` from `start_sample` on, one row per decision frame.

    Each frame takes the window whose centre is nearest.
    """
    position = (start_sample + (np.arange(frames) + 0.5) * DECISION_SAMPLES) % samples
    row = np.rint((position - WINDOW_SAMPLES / 2) / HOP_SAMPLES).astype(np.int64)
    return np.asarray(scores[np.clip(row, 0, len(scores) - 1)], dtype=np.float32)
