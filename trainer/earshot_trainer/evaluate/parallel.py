"""Work of many items that all need one subject, over processes."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeVar

from earshot_node.worker_pool import worker_pool
from earshot_trainer.evaluate.subject import Subject

Item = TypeVar("Item")
Result = TypeVar("Result")

_worker: list[Subject] = []


def map_with_subject(
    work: Callable[[Subject, Item], Result], subject: Subject, items: Sequence[Item], jobs: int
) -> Iterator[Result]:
    """Yield `work(subject, item)` in order, `jobs` processes at once.

    With more than one, `work` must be a module's function; subject, items and results travel to and from the processes.
    """
    if jobs <= 1 or len(items) <= 1:
        yield from (work(subject, item) for item in items)
        return
    with worker_pool(min(jobs, len(items)), _start_worker, subject) as pool:
        yield from pool.map(partial(_in_worker, work), items)


def _start_worker(subject: Subject) -> None:
    _worker.append(subject)


def _in_worker(work: Callable[[Subject, Item], Result], item: Item) -> Result:
    return work(_worker[0], item)
