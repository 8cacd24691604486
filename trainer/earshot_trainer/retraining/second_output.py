"""What a household teaches reaches the second opinion: else a siren that it does not know could not be taught.

The second opinion of the shipped model -> its embeddings of the household's recordings, of what is replayed and of the
synthesized sounds -> another output (`refit_output`), row by row -> the candidate's second opinion
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from earshot_node.contract.names import SIREN
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.retraining.new_labels import presence
from earshot_trainer.retraining.settings import TuningSettings
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats
from earshot_trainer.second_opinion.joining import labels_of
from earshot_trainer.second_opinion.output_layer import Embedder, output_of, with_output
from earshot_trainer.second_opinion.refitting import Windows, refit_output
from earshot_trainer.second_opinion.windows import WINDOW_HOP_FRAMES, hear_windows

OWN_HOP_FRAMES: Final = 12
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class OwnSound:
    """A recording of the household.

    Attributes:
        samples: int16 at 16 kHz.
        holds: labels that sound somewhere in it.
        lacks: labels that do not.
    """

    samples: Samples
    holds: frozenset[str]
    lacks: frozenset[str]


def own_sound(recording: Recording, samples: Samples, labels: Sequence[str]) -> OwnSound:
    """Tell which of the labels a recording holds and lacks; whatever is no siren's lacks one, as in all retraining."""
    by = {label: presence(recording, label) for label in labels}
    by[SIREN] = "holds" if recording.is_siren else "without"
    holds, lacks = (frozenset(one for one, found in by.items() if found == what) for what in ("holds", "without"))
    return OwnSound(samples, holds, lacks)


@dataclass(frozen=True)
class Lessons:
    """What to learn from, and `known`, what is replayed and synthesized: samples at 16 kHz, int16."""

    own: Sequence[OwnSound]
    known: Sequence[Samples]

    def __len__(self) -> int:
        return len(self.own) + len(self.known)


@dataclass(frozen=True)
class Taught:
    """The second opinion with another output, and how many of the household's windows either output has right."""

    second: ModelProto
    right_before: int
    right_after: int
    windows: int


def teach(
    second: ModelProto,
    config: ModelConfig,
    lessons: Lessons,
    settings: TuningSettings,
    progress: Callable[[], None] = lambda: None,
) -> Taught:
    """Fit each row of the output anew, of which the household's recordings tell something.

    In a recording that holds a label those windows count where the opinion is within `audible_range_log_odds` of its
    highest there, however low: where in it the label sounds is nowhere said.

    Args:
        second: windows [K, 96, 64] to logits, see `labels_of`.
        config: of a network that hears what the second opinion listens to.
        lessons: what to learn from and what not to forget.
        settings: of the retraining.
        progress: called after each sound.
    """
    ears, embedder = Ears(config), Embedder(second)
    weights, biases = (rows.copy() for rows in output_of(second))

    def heard(sounds: Sequence[Samples], hop_frames: int) -> list[Floats]:
        return [found for (found,) in hear_windows(sounds, ears, [embedder], progress, hop_frames)]

    own = heard([one.samples for one in lessons.own], OWN_HOP_FRAMES)
    empty = np.zeros((0, weights.shape[1]), np.float32)
    known = np.concatenate([empty, *heard(lessons.known, WINDOW_HOP_FRAMES)])
    before = after = count = 0
    for row, label in enumerate(labels_of(second)):
        held = [
            _audible(found, weights[row], settings)
            for one, found in zip(lessons.own, own, strict=True)
            if label in one.holds
        ]
        lacking = [found for one, found in zip(lessons.own, own, strict=True) if label in one.lacks]
        windows = Windows(np.concatenate([empty, *held]), np.concatenate([empty, *lacking]), known)
        before += _right(windows, weights[row], biases[row])
        weights[row], biases[row] = refit_output(
            weights[row], float(biases[row]), windows, settings.own_weight, settings.keep_weight
        )
        after += _right(windows, weights[row], biases[row])
        count += len(windows.sirens) + len(windows.others)
    return Taught(with_output(second, weights, biases), before, after, count)


def _audible(embeddings: Floats, weight: Floats, settings: TuningSettings) -> Floats:
    opinion = embeddings @ weight
    return np.asarray(embeddings[opinion >= opinion.max() - settings.audible_range_log_odds])


def _right(windows: Windows, weight: Floats, bias: np.float32) -> int:
    """How many of the household's windows are on the right side."""
    held, lacking = (kind @ weight + bias for kind in (windows.sirens, windows.others))
    return int((held > 0).sum() + (lacking <= 0).sum())
