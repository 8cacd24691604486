"""What a second opinion makes of every window of recordings."""

from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.second_opinion.ears import Ears
from earshot_trainer.second_opinion.fitting import Floats

WINDOW_HOP_FRAMES = 48
AT_ONCE = 64
LONGEST_S = 600
"""What is longer is heard in its first ten minutes: a wind that blows for hours says little new."""


@torch.inference_mode()
def hear_windows(
    sounds: Iterable[npt.NDArray[np.int16]],
    ears: Ears,
    listeners: Sequence[Callable[[Tensor], Tensor]],
    progress: Callable[[], None] = lambda: None,
    hop_frames: int = WINDOW_HOP_FRAMES,
) -> list[list[Floats]]:
    """Return for each sound what each listener makes of its windows: [windows, ...].

    Args:
        sounds: samples at 16 kHz.
        ears: what makes frames of samples.
        listeners: map windows of frames [K, 96, 64] to [K, ...].
        progress: called after each sound.
        hop_frames: from one window to the next, of .01 s each.
    """
    heard = []
    for samples in sounds:
        frames = ears.frames(samples[: LONGEST_S * SAMPLE_RATE_HZ])
        windows = frames.unfold(0, WINDOW_FRAMES, hop_frames).transpose(1, 2)
        parts = torch.split(windows, AT_ONCE)
        heard.append([torch.cat([listener(part) for part in parts]).numpy() for listener in listeners])
        progress()
    return heard
