"""How long a graph takes, measured in turns so that a busy machine is unfair to nobody."""

import time
from pathlib import Path

import numpy as np

from earshot_trainer.graph.session import GraphSession
from earshot_trainer.network.architecture import HOP_SAMPLES


def call_times_s(paths: list[Path], calls: int, hops: int = 1) -> list[float]:
    """Return the median time of a call with `hops`, for each graph, on one thread, state carried, after a warm-up.

    The graphs are timed call by call in turns, so that they share the machine's good and bad moments.
    """
    sessions = [GraphSession(path) for path in paths]
    states = [session.initial_state(1) for session in sessions]
    samples = np.random.default_rng(0).normal(0, 0.1, (1, hops * HOP_SAMPLES)).astype(np.float32)
    times_s = np.zeros((calls, len(paths)))
    for call in range(-max(1, calls // 10), calls):
        for index, session in enumerate(sessions):
            start_s = time.perf_counter()
            states[index] = session.run(samples, states[index]).state
            if call >= 0:
                times_s[call, index] = time.perf_counter() - start_s
    return [float(median_s) for median_s in np.median(times_s, axis=0)]
