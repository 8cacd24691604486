"""What a household teaches reaches the second opinion: else a siren that it does not know could not be taught.

The second opinion of the shipped model -> its embeddings of the household's recordings, of what is replayed and of the
synthesized sounds -> another output (`refit_output`) -> the candidate's second opinion
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
from onnx import ModelProto

from earshot_trainer.network.architecture import ModelConfig
from earshot_trainer.retraining.settings import TuningSettings
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats
from earshot_trainer.second_opinion.output_layer import Embedder, output_of, with_output
from earshot_trainer.second_opinion.refitting import Windows, refit_output
from earshot_trainer.second_opinion.windows import WINDOW_HOP_FRAMES, hear_windows

OWN_HOP_FRAMES: Final = 12
Samples = npt.NDArray[np.int16]


@dataclass(frozen=True)
class Lessons:
    """Samples at 16 kHz, int16.

    Attributes:
        sirens: the household's recordings with a siren, somewhere in each.
        others: its recordings without one.
        known: what is replayed and synthesized.
    """

    sirens: Sequence[Samples]
    others: Sequence[Samples]
    known: Sequence[Samples]

    def __len__(self) -> int:
        return len(self.sirens) + len(self.others) + len(self.known)


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
    """Fit the output anew.

    In a recording of a siren those windows count where the opinion is within `audible_range_log_odds` of its highest
    there, however low: where in it the siren sounds is nowhere said.

    Args:
        second: windows [K, 96, 64] to logits [K].
        config: of a network that hears what the second opinion listens to.
        lessons: what to learn from and what not to forget.
        settings: of the retraining.
        progress: called after each sound.
    """
    ears, embedder = Ears(config), Embedder(second)
    weight, bias = output_of(second)

    def heard(sounds: Sequence[Samples], hop_frames: int) -> list[Floats]:
        return [found for (found,) in hear_windows(sounds, ears, [embedder], progress, hop_frames)]

    def audible(embeddings: Floats) -> Floats:
        opinion = embeddings @ weight
        return np.asarray(embeddings[opinion >= opinion.max() - settings.audible_range_log_odds])

    empty = np.zeros((0, len(weight)), np.float32)
    windows = Windows(
        np.concatenate([empty, *(audible(one) for one in heard(lessons.sirens, OWN_HOP_FRAMES))]),
        np.concatenate([empty, *heard(lessons.others, OWN_HOP_FRAMES)]),
        np.concatenate([empty, *heard(lessons.known, WINDOW_HOP_FRAMES)]),
    )
    new = refit_output(weight, bias, windows, settings.own_weight, settings.keep_weight)
    before, after = (
        int((windows.sirens @ w + b > 0).sum() + (windows.others @ w + b <= 0).sum()) for w, b in ((weight, bias), new)
    )
    return Taught(with_output(second, *new), before, after, len(windows.sirens) + len(windows.others))
