"""Going through recordings one by one. Every word is kept at once; knows neither terminal nor sound."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from earshot_node.contract.recordings import Labelling
from earshot_node.errors import EarshotError
from earshot_trainer.catalogue.labellings import Labellings
from earshot_trainer.labelling.keys import (
    BACKGROUND_KEY,
    CONFIRM_KEY,
    PLAY_KEY,
    QUIT_KEY,
    SEVERAL_KEY,
    SKIP_KEYS,
    UNDO_KEY,
    keys_of,
    title_of,
)
from earshot_trainer.labelling.view import View
from earshot_trainer.labelling.waiting import Waiting

Step = Literal["next", "stay", "play", "quit"]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A word that only has to be confirmed: labels, or what certainly does not sound; neither: background."""

    labels: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """What people call it."""
        return title_of(self.labels) if not self.absent else "not " + ", not ".join(self.absent)

    @classmethod
    def of(cls, waiting: Waiting, view: View) -> "Suggestion":
        """Return what was said, if that is to be confirmed; else what the model heard."""
        said = waiting.info.labelling
        if waiting.why == "feedback" and said is not None:
            return cls(said.labels, said.absent)
        return cls(view.suggestion)


@dataclass(slots=True)
class LabelSession:
    """Where a person is in a queue.

    Attributes:
        queue: what is gone through.
        labels: that there are keys for.
        labellings: where words are kept.
        user: who labels.
        suggested: what `y` stands for at the present recording; None: there is nothing to confirm.
        several: labels chosen after `+` so far; None: one key is one word.
        told: what came of the last key, a line.
    """

    queue: Sequence[Waiting]
    labels: Sequence[str]
    labellings: Labellings
    user: str
    suggested: Suggestion | None = None
    several: list[str] | None = None
    told: str = ""
    _at: int = 0
    _trail: list[bool] = field(default_factory=list)

    @property
    def current(self) -> Waiting | None:
        """The recording that is asked about; None at the end."""
        return self.queue[self._at] if self._at < len(self.queue) else None

    @property
    def position(self) -> int:
        """How many are behind."""
        return self._at

    @property
    def said(self) -> int:
        """How many of them were labelled, not skipped."""
        return sum(self._trail)

    def press(self, key: str) -> Step:
        """Do what a key means.

        Raises:
            OperatorError: the catalogue cannot be written; the recording stays the current one.
        """
        keys = keys_of(self.labels)
        self.told = ""
        if key == QUIT_KEY:
            return "quit"
        if key == UNDO_KEY:
            return self._undo()
        if key == PLAY_KEY:
            return "play"
        if self.current is None:
            return "quit" if key in SKIP_KEYS else "stay"
        if key == SEVERAL_KEY:
            self.several = []
            return "stay"
        if self.several is not None:
            return self._choose(self.several, key, keys)
        if key in SKIP_KEYS:
            return self._go_on(said=False)
        if key == BACKGROUND_KEY:
            return self._say(())
        if key == CONFIRM_KEY and self.suggested is not None:
            return self._say(self.suggested.labels, self.suggested.absent)
        if key in keys:
            return self._say((keys[key],))
        return "stay"

    def _choose(self, several: list[str], key: str, keys: dict[str, str]) -> Step:
        if key in keys:
            label = keys[key]
            several.remove(label) if label in several else several.append(label)
            return "stay"
        self.several = None
        return self._say(tuple(several)) if key in SKIP_KEYS and several else "stay"

    def _say(self, labels: tuple[str, ...], absent: tuple[str, ...] = ()) -> Step:
        current = self.current
        assert current is not None
        now = datetime.now(UTC)
        labelling = Labelling(labels=labels, absent=absent, by="command_line", user=self.user, time=now)
        self.labellings.say(current.info.sha256, labelling, now)
        self.told = f"{labelling.title}; u takes it back"
        return self._go_on(said=True)

    def _go_on(self, *, said: bool) -> Step:
        self._trail.append(said)
        self._at += 1
        self.several = None
        return "next"

    def _undo(self) -> Step:
        if self.several is not None:
            self.several = None
            return "stay"
        if not self._trail:
            self.told = "nothing to take back"
            return "stay"
        said = self._trail.pop()
        self._at -= 1
        current = self.current
        assert current is not None
        if said:
            try:
                self.labellings.take_back(current.info.sha256)
                self.told = "taken back"
            except EarshotError as error:
                self.told = str(error)
        return "next"
