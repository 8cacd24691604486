"""Lines and bars for whoever watches."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


@contextmanager
def counting(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Give the function that counts one of `total` items.

    The bar is on stderr and goes away at the end; without a terminal there is none.
    """
    with _bar() as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)


@contextmanager
def counting_up(what: str) -> Iterator[Callable[[int, int], None]]:
    """Give the function that moves a bar to (done, total); like `counting` where the total is not known before."""
    with _bar() as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def say(console: Console, text: str) -> None:
    """Print one line as it stands: not wrapped, no markup, so that a path can be copied."""
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _bar() -> Progress:
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
