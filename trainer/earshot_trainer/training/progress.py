"""Progress of a run: a bar on a terminal, plain lines elsewhere, and TensorBoard where it is installed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from earshot_trainer.training.train import StepReport

LOG_EVERY_STEPS = 10
LINES_PER_RUN = 20


class TrainingReport:
    """Called after each training step; shows and logs it."""

    def __init__(self, console: Console, out: Path) -> None:
        self._console = console
        self._bar = _progress(console, "{task.fields[note]}") if console.is_terminal else None
        self._task: Any = None
        self._board = _tensorboard(out / "tensorboard", console)

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._board is not None:
            self._board.close()

    def __call__(self, step: StepReport) -> None:
        """Show one step."""
        note = f"loss {step.loss:.4f}, {step.segments_per_s:.1f} segments/s"
        if self._bar is not None:
            if self._task is None:
                self._task = self._bar.add_task("training", total=step.steps, note="")
            self._bar.update(self._task, completed=step.step, note=note)
        elif step.step % max(1, step.steps // LINES_PER_RUN) == 0:
            self._console.print(f"step {step.step}/{step.steps}: {note}", highlight=False)
        if self._board is not None and step.step % LOG_EVERY_STEPS == 0:
            self._board.add_scalar("loss", step.loss, step.step)
            self._board.add_scalar("segments_per_s", step.segments_per_s, step.step)


@contextmanager
def counting(console: Console, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar for `total` items on a terminal; gives the function that advances it."""
    if not console.is_terminal:
        yield lambda _: None
        return
    with _progress(console) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _progress(console: Console, *extra: str) -> Progress:
    columns = [TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()]
    return Progress(*columns, *(TextColumn(text) for text in extra), console=console, transient=True)


def _tensorboard(folder: Path, console: Console) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        console.print("TensorBoard is not installed: no curves are written; try `pip install tensorboard`")
        return None
    return SummaryWriter(folder)
