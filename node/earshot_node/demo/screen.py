"""Lines that stay and, on a terminal, a drawing below them that moves."""

import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

_REDRAWS_PER_S = 4


class Screen:
    """Prints while the context lasts; without a terminal the moving part is left out."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        self._live: Live | None = None

    @property
    def width(self) -> int:
        """Columns to draw in."""
        return min(110, self._console.width) if self._console.is_terminal else 80

    def __enter__(self) -> Self:
        """Begin drawing."""
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=_REDRAWS_PER_S, transient=True)
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take the moving part away."""
        live, self._live = self._live, None
        if live is not None:
            live.stop()

    def line(self, text: str = "", style: str = "") -> None:
        """Print a line that stays."""
        self._console.print(Text(text, style=style))
        sys.stdout.flush()

    def draw(self, rows: Sequence[str]) -> None:
        """Replace the moving part."""
        if self._live is not None:
            self._live.update(Group(Text(""), *(Text(row, overflow="crop", no_wrap=True) for row in rows)))
