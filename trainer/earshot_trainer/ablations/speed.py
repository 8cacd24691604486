"""What a hop costs, in turns so that a busy machine is unfair to nobody."""

import statistics
import time
from collections.abc import Sequence

import torch

from earshot_trainer.network.architecture import FRAMES_PER_HOP
from earshot_trainer.network.model import StreamingCrnn

CALLS = 300


@torch.inference_mode()
def hop_times_ms(networks: Sequence[StreamingCrnn], calls: int = CALLS) -> list[float]:
    """Return the median CPU time of a call with one hop for each network, on this thread, its state carried.

    The torch modules are timed call by call in turns, after a warm-up. CPU time leaves out what other programs take,
    and with one thread it is all there is; call `torch.set_num_threads(1)` before.
    """
    generator = torch.Generator().manual_seed(0)
    states = [network.initial_state(1) for network in networks]
    times_ms: list[list[float]] = [[] for _ in networks]
    for call in range(-max(1, calls // 10), calls):
        for index, network in enumerate(networks):
            frames = torch.randn(1, FRAMES_PER_HOP, network.config.n_mels, generator=generator) * 3 - 8
            begun_s = time.thread_time()
            _, states[index] = network(frames, states[index])
            if call >= 0:
                times_ms[index].append((time.thread_time() - begun_s) * 1000)
    return [statistics.median(times) for times in times_ms]
