"""Where a run's time goes, measured as it runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

EVERY_STEPS_ON_CUDA = 25
PARTS = ("waiting for data", "forward", "backward", "exchange", "optimizer", "checkpoint")


class StepClock:
    """Seconds spent in each part of the steps so far, over all sessions of a run.

    On CUDA work is queued and a call's own time says little: every 25th step is measured alone, with the device
    drained at the edges of its parts, and stands for the others.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._every = EVERY_STEPS_ON_CUDA if device.type == "cuda" else 1
        self._is_measured = False
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._steps = 0
        self._earlier_s = 0.0
        self._started_s = time.perf_counter()

    def start(self, earlier: dict[str, Any]) -> None:
        """Begin now; `earlier` is what `state_dict` gave in the session before, or empty."""
        self._seconds |= earlier.get("seconds", {})
        self._steps = int(earlier.get("steps", 0))
        self._earlier_s = float(earlier.get("wall_s", 0.0))
        self._started_s = time.perf_counter()

    def begin_step(self) -> None:
        """Count a step."""
        self._is_measured = self._steps % self._every == 0
        self._steps += 1

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time what happens inside as one of PARTS."""
        always = name == "checkpoint"
        if not self._is_measured and not always:
            yield
            return
        self._drain()
        begun_s = time.perf_counter()
        yield
        self._drain()
        self._seconds[name] += (time.perf_counter() - begun_s) * (1 if always else self._every)

    def state_dict(self) -> dict[str, Any]:
        """Plain values for `start` of the next session."""
        wall_s = self._earlier_s + time.perf_counter() - self._started_s
        return {"seconds": dict(self._seconds), "steps": self._steps, "wall_s": wall_s}

    def _drain(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)


def describe_speed(clock: dict[str, Any], batch_size: int, segment_s: float) -> dict[str, Any]:
    """JSON values from a clock's `state_dict`: segments and audio per second of wall time, and shares of it."""
    wall_s = max(clock["wall_s"], 1e-9)
    segments_per_s = clock["steps"] * batch_size / wall_s
    shares = {name: round(seconds / wall_s, 4) for name, seconds in clock["seconds"].items() if seconds > 0}
    return {
        "steps": clock["steps"],
        "segments_per_s": round(segments_per_s, 2),
        "times_real_time": round(segments_per_s * segment_s, 1),
        "shares": shares | {"other": round(max(0.0, 1 - sum(shares.values())), 4)},
    }


def speed_line(speed: dict[str, Any]) -> str:
    """One line for people."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in speed["shares"].items())
    return f"{speed['segments_per_s']:.1f} segments/s ({speed['times_real_time']:.0f} times real time); time: {shares}"
