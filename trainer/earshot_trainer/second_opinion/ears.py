"""What a second opinion listens to: the tagger's frames at one level, as the streaming graph makes them."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from earshot_node.errors import OperatorError
from earshot_trainer.distillation.tagger import WINDOW_FRAMES
from earshot_trainer.network.architecture import FRAMES_PER_HOP, HOP_SAMPLES, ModelConfig
from earshot_trainer.network.features import LogMel
from earshot_trainer.network.level import RunningLevel
from earshot_trainer.network.model import StreamingCrnn

BLOCK_HOPS = 250


class Ears:
    """Samples to the tagger's frames; those of any network with this configuration.

    Raises:
        OperatorError: such a network does not hear the tagger's frames at one level.
    """

    def __init__(self, config: ModelConfig) -> None:
        if not config.magnitudes or not config.tagger_layers or not config.level_s:
            raise OperatorError(
                "a second opinion listens to the tagger's frames at one level; train with model.magnitudes true, "
                "window_samples 400, mel_min_hz 125, mel_max_hz 7500, tagger_layers and level_s"
            )
        self._log_mel = LogMel(config)
        self._network = StreamingCrnn(config).eval()

    @torch.no_grad()
    def frames(self, samples: npt.NDArray[np.int16]) -> Tensor:
        """Frames [F, 64] of 16 kHz samples, of a window at least; what is missing at the end is silence."""
        hops = max(-(-len(samples) // HOP_SAMPLES), WINDOW_FRAMES // FRAMES_PER_HOP)
        sound = torch.zeros(1, hops * HOP_SAMPLES)
        sound[0, : len(samples)] = torch.from_numpy(samples.astype(np.float32) / 32768)
        cache, parts = self._log_mel.initial_cache(1), []
        for block in torch.split(sound, BLOCK_HOPS * HOP_SAMPLES, dim=1):
            log_mel, cache = self._log_mel(block, cache)
            parts.append(log_mel[0])
        return self.tagger_frames(torch.cat(parts))

    @torch.no_grad()
    def tagger_frames(self, log_mel: Tensor) -> Tensor:
        """Frames [F, 64] of a network's log-mel frames [F, 64] of a sound from its beginning, F / 4 whole."""
        level = self._network.level
        assert isinstance(level, RunningLevel)
        state, parts = torch.zeros(1, 2), []
        for block in torch.split(log_mel[None], BLOCK_HOPS * FRAMES_PER_HOP, dim=1):
            levelled, state = level(block, state)
            parts.append(self._network.tagger_frames(levelled)[0])
        return torch.cat(parts)
