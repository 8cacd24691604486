"""The next batch is mixed while the network learns from this one."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from earshot_trainer.segments.mixing import Batch


class Prefetcher:
    """Makes batches by step number, at most one ahead, in one thread of its own."""

    def __init__(self, make: Callable[[int], Batch]) -> None:
        self._make = make
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="mixing")
        self._ahead: tuple[int, Future[Batch]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._executor.shutdown(cancel_futures=True)

    def take(self, step: int, *, prefetch_next: bool) -> Batch:
        """The batch of this step; starts the next one unless told not to. Raises what making it raised."""
        if self._ahead is None or self._ahead[0] != step:
            self._ahead = (step, self._executor.submit(self._make, step))
        batch = self._ahead[1].result()
        self._ahead = (step + 1, self._executor.submit(self._make, step + 1)) if prefetch_next else None
        return batch
