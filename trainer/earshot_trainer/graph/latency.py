"""How long a graph takes, measured in turns so that a busy machine is unfair to nobody."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from earshot_trainer.graph.session import GraphSession
from earshot_trainer.network.architecture import HOP_SAMPLES, SAMPLE_RATE_HZ

_HOP_MS = 1000 * HOP_SAMPLES / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Latency:
    """Time of one call on one thread.

    Attributes:
        batch, hops: what a call held.
        median_ms, p99_ms: over the calls.
        times_real_time: audio per time, all rows together, at the median.
    """

    batch: int
    hops: int
    median_ms: float
    p99_ms: float
    times_real_time: float

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers for JSON."""
        return asdict(self)


def measure_latency(path: Path, *, hops: int = 1, batch: int = 1, calls: int = 500) -> Latency:
    """Time `calls` calls of `hops` hops on the graph at `path`, state carried, after a warm-up."""
    return measure_in_turns([path], hops=hops, batch=batch, calls=calls)[0]


def measure_in_turns(paths: list[Path], *, hops: int = 1, batch: int = 1, calls: int = 500) -> list[Latency]:
    """Time several graphs call by call in turns, so that they share the machine's good and bad moments."""
    sessions = [GraphSession(path) for path in paths]
    states = [session.initial_state(batch) for session in sessions]
    samples = np.random.default_rng(0).normal(0, 0.1, (batch, hops * HOP_SAMPLES)).astype(np.float32)
    times = np.zeros((calls, len(paths)))
    for call in range(-max(1, calls // 10), calls):
        for index, session in enumerate(sessions):
            start = time.perf_counter()
            states[index] = session.run(samples, states[index]).state
            if call >= 0:
                times[call, index] = time.perf_counter() - start
    return [_summary(column * 1000, batch, hops) for column in times.T]


def _summary(times_ms: np.ndarray[Any, np.dtype[np.float64]], batch: int, hops: int) -> Latency:
    median = float(np.median(times_ms))
    return Latency(batch, hops, median, float(np.percentile(times_ms, 99)), batch * hops * _HOP_MS / median)
