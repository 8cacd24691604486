"""The two faces of a session: a person at a terminal, and a script."""

import json
import sys
from typing import TYPE_CHECKING, Final, TextIO

import click

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.monitor.picture import level_bar
from earshot_node.recordings.session import Verdict
from earshot_node.recordings.take import WARNING_TEXTS, Progress, Warning_

if TYPE_CHECKING:
    from earshot_node.recordings.keyboard import Keyboard

_BAR: Final = 30
_REDRAW_S: Final = 0.1
_CLEAR: Final = "\r\x1b[K"
_NO_WRAP: Final = "\x1b[?7l"  # a line that is too long is cut, so that the next one can take its place
_WRAP: Final = "\x1b[?7h"
_KEYS: Final[dict[str, Verdict]] = {"k": "keep", "r": "redo", "q": "quit", "d": "drop"}
_GAP_KEYS: Final[dict[str, Verdict]] = {"r": "redo", "q": "keep_and_quit"}
DROPPED_UNSEEN: Final[Warning_] = "silent"


class Tally:
    """Running total of a label against what training wants."""

    def __init__(self, title: str, count: int, needed: int) -> None:
        self._title = title
        self._count = count
        self._needed = needed

    def add(self) -> str:
        """Count one more; return the total in words."""
        self._count += 1
        return str(self)

    def __str__(self) -> str:
        return f"{self._title}: {self._count} of {self._needed}"


class TerminalDesk:
    """For a person: level meter, and single keys to keep, redo and quit.

    Args:
        keyboard: gives keys.
        tally: running total.
        count: takes of the session.
        gap_s: how long a take can be taken back before the next begins.
        screen: where to draw.
    """

    pauses = True

    def __init__(
        self, keyboard: "Keyboard", tally: Tally, count: int, gap_s: float, screen: TextIO = sys.stderr
    ) -> None:
        self._keyboard = keyboard
        self._tally = tally
        self._count = count
        self._gap_s = gap_s
        self._screen = screen

    def show(self, number: int, progress: Progress) -> None:
        """See `Desk.show`."""
        level = f"{level_bar(progress.level_dbfs, _BAR)} {progress.level_dbfs:6.1f} dBFS"
        if progress.clipped:
            level += " " + click.style("CLIPS", fg="red", bold=True)
        if progress.phase == "countdown":
            now = click.style(f"begins in {progress.at_s:3.1f} s", fg="yellow")
        else:
            now = click.style(f"RECORDING {progress.at_s:4.1f} s", fg="red", bold=True)
        self._draw(f"{self._place(number)} {now:<16} {level}")

    def ask(self, number: int, info: RecordingInfo, found: tuple[Warning_, ...]) -> Verdict:
        """See `Desk.ask`: without warnings a take is kept unless a key says otherwise before the next begins."""
        heard = f"{self._place(number)} {info.level_dbfs:.1f} dBFS, peak {info.peak_dbfs:.1f}"
        if not found:
            if self._gap_s <= 0:
                return "keep"
            return self._let_gap_pass(number, heard)
        for warning in found:
            self._line(click.style(f"{self._place(number)} warning: {WARNING_TEXTS[warning]}", fg="yellow"))
        self._draw(f"{heard}  [k] keep  [r] redo  [d] drop  [q] quit")
        self._keyboard.forget()
        return self._until("krdq")

    def kept(self, number: int, info: RecordingInfo) -> None:
        """See `Desk.kept`."""
        self._line(f"{self._place(number)} kept, level {info.level_dbfs:.1f} dBFS    {self._tally.add()}")

    def trouble(self, number: int, problem: str) -> Verdict:
        """See `Desk.trouble`."""
        self._line(click.style(f"{self._place(number)} {problem}", fg="red"))
        self._draw(f"{self._place(number)} [r] try again  [q] quit")
        self._keyboard.forget()
        return self._until("rq")

    def _let_gap_pass(self, number: int, heard: str) -> Verdict:
        left_s = self._gap_s
        following = f"{self._place(number + 1)} begins in" if number < self._count else "ends in"
        while left_s > 0:
            self._draw(f"{heard}  kept; {following} {left_s:.1f} s  [r] redo  [q] end")
            verdict = _GAP_KEYS.get(self._keyboard.key(min(_REDRAW_S, left_s)))
            if verdict is not None:
                return verdict
            left_s -= _REDRAW_S
        return "keep"

    def _until(self, keys: str) -> Verdict:
        while True:
            pressed = self._keyboard.key(None)
            if pressed and pressed in keys:
                return _KEYS[pressed]

    def _place(self, number: int) -> str:
        width = len(str(self._count))
        return f"{number:>{width}}/{self._count}"

    def _draw(self, text: str) -> None:
        self._screen.write(f"{_CLEAR}{_NO_WRAP}{text}{_WRAP}")
        self._screen.flush()

    def _line(self, text: str) -> None:
        self._screen.write(f"{_CLEAR}{text}\n")
        self._screen.flush()


class PlainDesk:
    """For a script or a file: a line per take, nothing is asked. A silent take is dropped, other warnings are told.

    Args:
        tally: running total.
        count: takes of the session.
        as_json: print each recording's JSON on standard output.
    """

    pauses = False

    def __init__(self, tally: Tally, count: int, *, as_json: bool) -> None:
        self._tally = tally
        self._count = count
        self._as_json = as_json
        self._announced = 0

    def show(self, number: int, progress: Progress) -> None:
        """See `Desk.show`."""
        if progress.phase == "recording" and number != self._announced:
            self._announced = number
            click.echo(f"{number}/{self._count} recording", err=True)

    def ask(self, number: int, info: RecordingInfo, found: tuple[Warning_, ...]) -> Verdict:  # noqa: ARG002
        """See `Desk.ask`."""
        for warning in found:
            click.echo(f"{number}/{self._count} warning: {WARNING_TEXTS[warning]}", err=True)
        if DROPPED_UNSEEN in found:
            click.echo(f"{number}/{self._count} not kept", err=True)
            return "drop"
        return "keep"

    def kept(self, number: int, info: RecordingInfo) -> None:
        """See `Desk.kept`."""
        total = self._tally.add()
        click.echo(f"{number}/{self._count} kept, level {info.level_dbfs:.1f} dBFS    {total}", err=True)
        if self._as_json:
            click.echo(json.dumps(info.model_dump(mode="json", by_alias=True)))

    def trouble(self, number: int, problem: str) -> Verdict:
        """See `Desk.trouble`."""
        click.echo(f"{number}/{self._count} {problem}", err=True)
        return "quit"
