"""The labelling session in a terminal."""

import os
from typing import Final

from rich.console import Console, Group
from rich.text import Text

from earshot_node.audio.block import Samples
from earshot_node.errors import EarshotError
from earshot_node.recordings.keyboard import Keyboard
from earshot_trainer.collecting.audio_store import AudioStore
from earshot_trainer.labelling.keys import keys_of, title_of
from earshot_trainer.labelling.picture import picture
from earshot_trainer.labelling.player import Player
from earshot_trainer.labelling.session import LabelSession, Suggestion
from earshot_trainer.labelling.view import Ear, View, samples_of
from earshot_trainer.labelling.waiting import Waiting

WIDEST: Final = 120
_SOON_S: Final = 0.5

WHY: Final = {
    "disagreement": "two models disagree",
    "uncertain": "kept unasked, the model was not sure",
    "detected": "kept unasked, the model heard something",
    "unlabelled": "not labelled",
    "feedback": "please confirm",
    "suspect": "perhaps labelled wrong",
}


class LabelTerminal:
    """Shows and plays one recording after the other and takes keys.

    Args:
        session: what is gone through.
        audio: where the audio is.
        ear: the model whose view is shown.
        player: None: nothing is played.
    """

    def __init__(self, session: LabelSession, audio: AudioStore, ear: Ear, player: Player | None) -> None:
        self._session = session
        self._audio = audio
        self._ear = ear
        self._player = player
        self._console = Console(highlight=False)
        has_colours = self._console.color_system is not None and not self._console.no_color
        self._in_colour = has_colours and self._console.encoding.startswith("utf")
        self._heard: tuple[Samples, View] | None = None
        self._trouble = ""

    def run(self) -> None:
        """Go on until the person quits or confirms the end."""
        with Keyboard() as keyboard:
            self._open(plays=True)
            while True:
                self._draw()
                key = self._key(keyboard)
                try:
                    step = self._session.press(key)
                except EarshotError as error:
                    self._trouble = str(error)
                    continue
                if step == "quit":
                    return
                if step in ("next", "play"):
                    self._open(plays=True)

    def _key(self, keyboard: Keyboard) -> str:
        """Wait for a key; tell meanwhile if the player gave up."""
        while True:
            key = keyboard.key(_SOON_S if self._player is not None and self._player.program else None)
            if key:
                self._trouble = ""
                return key
            if self._player is not None and (problem := self._player.problem()):
                self._trouble = problem
                self._draw()

    def _open(self, *, plays: bool) -> None:
        current = self._session.current
        self._heard = None
        self._session.suggested = None
        if current is None:
            return
        try:
            samples = samples_of(self._audio.read(current.info.sha256), current.info.id)
            view = self._ear.hear(samples)
        except EarshotError as error:
            self._trouble = f"{error}; Enter skips it"
            return
        self._heard = samples, view
        self._session.suggested = Suggestion.of(current, view)
        if plays and self._player is not None:
            self._player.play(samples)

    def _draw(self) -> None:
        self._console.clear()
        self._console.print(Group(*self._lines()))

    def _lines(self) -> list[Text]:
        width = min(WIDEST, self._console.width)
        session = self._session
        lines: list[Text] = []
        if session.current is None:
            lines.append(Text(f"That was the last of {len(session.queue)}; {session.said} labelled.", style="bold"))
        else:
            lines += _about(session.current, session.position + 1, len(session.queue))
            if self._heard is not None:
                rows = max(6, min(16, self._console.height - 12))
                lines += [Text(), *picture(self._heard[1], width, rows, in_colour=self._in_colour), Text()]
                lines.append(Text(self._heard[1].told()))
        lines.append(_keys(session, plays=self._player is not None and bool(self._player.program)))
        lines += [Text(text, style=style) for text, style in ((session.told, "green"), (self._trouble, "red")) if text]
        return lines


def user_name() -> str:
    """Return who labels, as far as the machine knows."""
    return next((os.environ[name][:80] for name in ("SUDO_USER", "USER", "LOGNAME") if os.environ.get(name)), "")


def about(info_of: Waiting) -> str:
    """Say in a line where and when a recording was made, how long and how loud it is."""
    info = info_of.info
    place = f"{info.node}/{info.source}"
    return f"{place}  {info.begin:%Y-%m-%d %H:%M:%S} UTC  {info.duration_s:.1f} s  {info.level_dbfs:.0f} dBFS"


def _about(current: Waiting, number: int, count: int) -> list[Text]:
    why = WHY[current.why] + (f"; {current.note}" if current.note else "")
    labelled = current.info.labelling
    is_now = f"  now: {labelled.title}" if labelled else ""
    return [Text(f"{number} of {count}  {about(current)}{is_now}", style="bold"), Text(why)]


def _keys(session: LabelSession, *, plays: bool) -> Text:
    keys = [f"[{key}] {label}" for key, label in keys_of(session.labels).items()]
    if session.current is None:
        return Text("[u] take back  [Enter] end")
    if session.several is not None:
        return Text(f"several: {title_of(session.several)}   {'  '.join(keys)}  [Enter] that is all  [u] not so")
    confirm = [f"[y] yes, {session.suggested.title}"] if session.suggested is not None else []
    again = ["[p] play again"] if plays else []
    rest = ["[+] several", *again, "[Enter] skip", "[u] undo", "[q] quit"]
    whole = (word.replace(" ", "\N{NO-BREAK SPACE}") for word in (*confirm, *keys, "[b] background", *rest))
    return Text("  ".join(whole), style="cyan")
