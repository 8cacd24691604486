"""Sound for a node's standard input at the speed of a microphone: quiet noise, and what a test plays."""

import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import numpy.typing as npt
import soundfile

from support.node_process import NodeProcess

RATE_HZ = 16000
BLOCK_S = 0.1
NOISE_RMS = 30.0

Pcm = npt.NDArray[np.int16]


def read_pcm(path: Path, begin_s: float = 0.0, end_s: float | None = None) -> Pcm:
    """Return a part of a recording at 16 kHz."""
    end = None if end_s is None else int(end_s * RATE_HZ)
    samples, rate_hz = soundfile.read(path, start=int(begin_s * RATE_HZ), stop=end, dtype="int16", always_2d=True)
    assert rate_hz == RATE_HZ
    return np.ascontiguousarray(samples[:, 0])


class LiveAudio:
    """Feeds a node from a thread for as long as the context lasts; a node that is away misses what is played."""

    def __init__(self, node: NodeProcess, seed: int = 1) -> None:
        self._node = node
        self._rng = np.random.default_rng(seed)
        self._lock = threading.Lock()
        self._rest: Pcm = np.zeros(0, np.int16)
        self._began_at = 0.0
        self._begun = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="live-audio")

    def play(self, pcm: Pcm) -> float:
        """Begin to play; return the wall time just before its first sample was handed over."""
        with self._lock:
            self._rest = pcm
            self._begun.clear()
        assert self._begun.wait(30), "nothing is being fed"
        return self._began_at

    def hush(self) -> None:
        """Go back to quiet noise."""
        with self._lock:
            self._rest = np.zeros(0, np.int16)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join(30)

    def _run(self) -> None:
        due_s = time.monotonic()
        while not self._stop.wait(max(0.0, due_s - time.monotonic())):
            due_s += BLOCK_S
            block = self._next_block()
            try:
                self._node.feed(block.tobytes())
            except (AssertionError, OSError, ValueError):  # it is away, its input perhaps closed
                due_s = max(due_s, time.monotonic())

    def _next_block(self) -> Pcm:
        count = int(BLOCK_S * RATE_HZ)
        block = np.round(NOISE_RMS * self._rng.standard_normal(count)).astype(np.int16)
        with self._lock:
            played, self._rest = self._rest[:count], self._rest[count:]
            if len(played) and not self._begun.is_set():
                self._began_at = time.time()
                self._begun.set()
        block[: len(played)] = played
        return block
