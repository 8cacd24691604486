"""Shows what a node keeps unasked, on a terminal or line by line."""

import json
import sys
from typing import Final, TextIO

import click

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.recordings.budget import Unasked

_CLEAR: Final = "\r\x1b[K"


class FollowDesk:
    """A line for everything that is kept or goes wrong; on a terminal the day's budget stands below.

    Args:
        as_json: print each recording's JSON on standard output.
        screen: where the lines go.
    """

    def __init__(self, *, as_json: bool, screen: TextIO = sys.stderr) -> None:
        self._as_json = as_json
        self._screen = screen
        self._draws = screen.isatty()
        self._kept: list[RecordingInfo] = []
        self._last: Unasked | None = None
        self._problem = ""

    def tell(self, news: Unasked) -> None:
        """Show what is new."""
        first, self._last = self._last is None, news
        if news.problem and news.problem != self._problem:
            self._line(click.style(news.problem, fg="yellow"))
        self._problem = news.problem or self._problem
        if news.kept is not None:
            self._kept.append(news.kept)
            self._problem = ""
            self._line(f"{_told(news.kept)}    {_budget(news)}")
            if self._as_json:
                click.echo(json.dumps(news.kept.model_dump(mode="json", by_alias=True)))
        if self._draws:
            self._screen.write(f"{_CLEAR}listening; {_budget(news)}; Ctrl-C ends")
            self._screen.flush()
        elif first:
            self._line(f"listening; {_budget(news)}")

    def end(self) -> None:
        """Say what came of it, and what to do next."""
        if self._last is None:
            return
        seconds = sum(info.duration_s for info in self._kept)
        self._line(f"{len(self._kept)} kept, {seconds:.1f} s; {_budget(self._last)}.")
        if self._kept:
            self._line("They have no label yet. Next, at the trainer: trainer-cli collect, trainer-cli label")

    def _line(self, text: str) -> None:
        self._screen.write(f"{_CLEAR if self._draws else ''}{text if self._draws else click.unstyle(text)}\n")
        self._screen.flush()


def _told(info: RecordingInfo) -> str:
    about = info.candidate
    why = f"{about.reason} {about.label} {about.posterior:.2f}" if about is not None else ""
    return f"{info.begin.astimezone():%H:%M:%S} {info.source}: {why}, {info.duration_s:.1f} s kept, {info.id}"


def _budget(news: Unasked) -> str:
    return f"today {news.kept_s:.0f} of {news.per_day_s:.0f} s used, {news.left_s:.0f} s left"
