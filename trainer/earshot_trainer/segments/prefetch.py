"""The next batches are made while the network learns from this one."""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import local
from types import TracebackType
from typing import Generic, Protocol, Self, TypeVar

import torch
from torch import Tensor


class Prefetched(Protocol):
    """What can be made ahead on a CUDA stream of its own."""

    def tensors(self) -> Iterable[Tensor]:
        """All of its tensors."""


T = TypeVar("T", bound=Prefetched)


class Prefetcher(Generic[T]):
    """Makes batches by step number in threads of its own, at most one per thread ahead, and hands them out in order.

    On CUDA each thread works on its own stream, so that copies and mixing run beside the network's kernels.
    """

    def __init__(self, make: Callable[[int], T], device: torch.device, workers: int = 1) -> None:
        self._make = make
        self._device = device
        self._workers = workers
        self._streams = local()
        self._executor = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="mixing")
        self._ahead: deque[tuple[int, Future[tuple[T, torch.cuda.Event | None]]]] = deque()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def take(self, step: int, *, end: int) -> T:
        """The batch of this step; those of the steps before `end` may be made from now on.

        Raises what making it raised.
        """
        if self._ahead and self._ahead[0][0] != step:
            self._ahead.clear()
        self._fill(step, max(end, step + 1), self._workers)
        batch, ready = self._ahead.popleft()[1].result()
        self._fill(step + 1, end, self._workers)
        if ready is not None:
            stream = torch.cuda.current_stream(self._device)
            stream.wait_event(ready)
            for tensor in batch.tensors():
                tensor.record_stream(stream)
        return batch

    def _fill(self, step: int, end: int, limit: int) -> None:
        following = self._ahead[-1][0] + 1 if self._ahead else step
        while len(self._ahead) < limit and following < end:
            self._ahead.append((following, self._executor.submit(self._make_one, following)))
            following += 1

    def _make_one(self, step: int) -> tuple[T, torch.cuda.Event | None]:
        if self._device.type != "cuda":
            return self._make(step), None
        if not hasattr(self._streams, "own"):
            torch.cuda.set_device(self._device)
            self._streams.own = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(self._streams.own):
            batch = self._make(step)
            ready = torch.cuda.Event()  # type: ignore[no-untyped-call]
            ready.record()
        return batch, ready
