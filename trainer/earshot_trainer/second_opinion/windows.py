"""What a second opinion makes of every window of recordings."""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_trainer.corpus.cache import PcmCache
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.second_opinion.ears import Ears

WINDOW_HOP_FRAMES = 48
AT_ONCE = 64
LONGEST_S = 600
"""What is longer is heard in its first ten minutes: a wind that blows for hours says little new."""
Floats = npt.NDArray[np.float32]


@torch.inference_mode()
def hear_windows(
    recordings: Sequence[Recording],
    ears: Ears,
    cache: PcmCache,
    listeners: Sequence[Callable[[Tensor], Tensor]],
    progress: Callable[[], None] = lambda: None,
) -> list[list[Floats]]:
    """Return for each recording what each listener makes of its windows, one every .48 s: [windows, ...].

    Args:
        recordings: what to hear.
        ears: what makes frames of samples.
        cache: holds the recordings.
        listeners: map windows of frames [K, 96, 64] to [K, ...].
        progress: called after each recording.
    """
    heard = []
    for recording in recordings:
        frames = ears.frames(cache.samples(recording)[: LONGEST_S * SAMPLE_RATE_HZ])
        windows = frames.unfold(0, WINDOW_FRAMES, WINDOW_HOP_FRAMES).transpose(1, 2)
        parts = torch.split(windows, AT_ONCE)
        heard.append([torch.cat([listener(part) for part in parts]).numpy() for listener in listeners])
        progress()
    return heard
