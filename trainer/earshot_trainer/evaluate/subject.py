"""What is measured, whatever it is: audio in, posteriors and operating points out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import OperatingPoint, Presets
from earshot_trainer.corpus.recordings import Recording

STAND_IN_POINT = OperatingPoint(enter=0.5, leave=0.35, min_length_s=0.2, bridging_s=1.0, cooldown_s=3.0)
"""Decides for a model that was given no presets; their origin then begins with `STAND_IN`."""
STAND_IN = "stand-in"


@dataclass(frozen=True, slots=True)
class Heard:
    """One file as a subject heard it.

    Attributes:
        duration_s: its length as decoded.
        posteriors: float32[frames, labels].
        problem: one line when it could not be read; the posteriors then end where reading did.
    """

    duration_s: float
    posteriors: NDArray[np.float32]
    problem: str = ""


class Subject(Protocol):
    """A model under measurement.

    Every one is asked the same way and decides by the node's detector at its own operating points. A row of its
    posteriors is one frame of `hop_s`; frame `i` ends at `(i + 1) * hop_s` and knows nothing of later audio.
    """

    @property
    def title(self) -> str:
        """What to call it in tables."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The columns of its posteriors."""

    @property
    def hop_s(self) -> float:
        """Seconds between frames."""

    @property
    def presets(self) -> Presets:
        """Its operating points."""

    @property
    def presets_origin(self) -> str:
        """Where they come from."""

    @property
    def model_sha256(self) -> str:
        """Hash of what computes the posteriors."""

    def describe(self) -> dict[str, Any]:
        """Return JSON types for the report: at least title, labels, model_sha256, model_bytes, presets and origin."""

    def with_presets(self, presets: Presets, origin: str) -> "Subject":
        """Return the same model deciding by other presets."""

    def for_recordings(self, recordings: Sequence[Recording]) -> "Subject":
        """Return the one that may hear audio made of these recordings; itself unless it is several models in one."""

    def score_files(self, paths: Sequence[Path], jobs: int) -> Iterator[Heard]:
        """Hear files in order, `jobs` processes at once, each with a fresh state."""

    def score_audio(self, samples: NDArray[np.float32], label: str | None = None) -> NDArray[np.float32]:
        """Hear float32[n] at 16 kHz with a fresh state; returns float32[frames, labels], whole hops only.

        With a `label` nothing else is listened for, and the other columns may be worth nothing.
        """


def stand_in_presets(labels: Sequence[str]) -> Presets:
    """Return the same stand-in point for every label and preset."""
    points = dict.fromkeys(labels, STAND_IN_POINT)
    return Presets(quiet=points, balanced=points, sensitive=points)


def describe_subject(subject: Subject, *, kind: str, version: str, model_bytes: int) -> dict[str, Any]:
    """Return what every subject says of itself."""
    return {
        "title": subject.title,
        "kind": kind,
        "version": version,
        "labels": list(subject.labels),
        "hop_s": subject.hop_s,
        "model_sha256": subject.model_sha256,
        "model_bytes": model_bytes,
        "presets_origin": subject.presets_origin,
        "presets": subject.presets.model_dump(mode="json"),
    }
