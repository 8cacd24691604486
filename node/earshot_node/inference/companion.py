"""A second model that hears what the pipeline's model hears, hop for hop.

A candidate before the switch or in the shadow, or the former model while its successor is on trial.

It decides for itself and alarms nobody. Whatever it does, the pipeline goes on: a failure only ends the companion.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from earshot_node.audio.block import Samples
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.detector import Decision, Detector, fact_of
from earshot_node.inference.facts import Fact
from earshot_node.inference.model import ModelOutput, ModelState, StreamingModel

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Row:
    """Where a stream is: `frame` hops after `origin_s`, its beginning in stream time."""

    source: str
    number: int
    origin_s: float
    frame: int


@dataclass(slots=True)
class Side:
    """What a model keeps of one stream: its state and its detector; `heard` counts the hops that formed the state."""

    number: int
    origin_s: float
    state: ModelState
    detector: Detector
    heard: int = 0
    whole: bool = False


class Companion:
    """Runs beside a pipeline, in its thread.

    Args:
        model: decides every as many samples as the pipeline's.
        points: operating points by source, for labels of this model.
        stands_by: takes over when the pipeline's model fails.
    """

    def __init__(
        self, model: StreamingModel, points: Callable[[str], Mapping[str, OperatingPoint]], *, stands_by: bool = False
    ) -> None:
        self.model = model
        self.points = points
        self.stands_by = stands_by
        self.failure: Exception | None = None
        self.work_s = 0.0
        self._sides: dict[str, Side] = {}
        self._facts: list[Fact] = []

    def begin(self, row: Row, *, whole: bool) -> None:
        """Follow a stream from here on; `whole` says that this is its beginning."""
        manifest = self.model.manifest
        try:
            detector = Detector(manifest.labels, self.points(row.source), manifest.hop_s, first_frame=row.frame)
        except Exception as error:  # noqa: BLE001 - whatever a candidate brings must not end the node
            self._fail(error)
            return
        side = Side(row.number, row.origin_s, self.model.initial_state(), detector, whole=whole)
        self._sides[row.source] = side

    def put(self, source: str, side: Side) -> None:
        """Go on with a stream where another one stopped."""
        self._sides[source] = side

    def side(self, source: str) -> Side:
        """What is kept of a source's stream.

        Raises:
            KeyError: it is not followed.
        """
        return self._sides[source]

    def end(self, source: str) -> None:
        """The source's stream has ended."""
        side = self._sides.pop(source, None)
        if side is not None:
            self._place(source, side, side.detector.flush())

    def advance(self, rows: Sequence[Row], samples: Samples) -> None:
        """Hear float32[rows, hops * hop_samples]."""
        if self.failure is not None:
            return
        begin_s = time.perf_counter()
        try:
            output = checked(self.model.run(samples, [self._sides[row.source].state for row in rows]))
        except Exception as error:  # noqa: BLE001 - whatever a candidate does must not end the node
            self._fail(error)
            return
        for index, row in enumerate(rows):
            side = self._sides[row.source]
            side.state = output.states[index]
            side.heard += output.posteriors.shape[1]
            self._place(row.source, side, side.detector.push(output.posteriors[index]))
        self.work_s += time.perf_counter() - begin_s

    def set_point(self, source: str, label: str, frame: int) -> None:
        """Decide about a label by what `points` says now, from frame number `frame` on."""
        side = self._sides.get(source)
        if side is not None and label in self.model.manifest.labels:
            point = self.points(source).get(label)
            self._place(source, side, side.detector.set_point(label, point, frame))

    def take_facts(self) -> list[Fact]:
        """Return the onsets and offsets since the last call."""
        facts, self._facts = self._facts, []
        return facts

    @property
    def heard_s(self) -> float:
        """Audio that has formed the youngest state; infinite where every stream was followed from its beginning."""
        hops = (float("inf") if side.whole else side.heard for side in self._sides.values())
        return min(hops, default=float("inf")) * self.model.manifest.hop_s

    def _fail(self, error: Exception) -> None:
        _log.warning("model %s failed beside the active one: %s", self.model.manifest.version, error)
        self.failure = error

    def _place(self, source: str, side: Side, decisions: Sequence[Decision]) -> None:
        self._facts += [fact_of(source, side.number, side.origin_s, decision) for decision in decisions]


class NotFiniteError(ArithmeticError):
    """A model gave posteriors that are no numbers."""


def checked(output: ModelOutput) -> ModelOutput:
    """Return the output.

    Raises:
        NotFiniteError: a posterior is not a number; no threshold would ever be reached again.
    """
    if not np.isfinite(output.posteriors).all():
        raise NotFiniteError("the model gives posteriors that are no numbers")
    return output
