"""What the review page shows and does, without HTTP; methods block on database, storage and model."""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from earshot_node.contract.recordings import RecordingInfo
from earshot_node.errors import EarshotError, OperatorError
from earshot_trainer.catalogue.labellings import Labellings
from earshot_trainer.catalogue.library import Library
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.deploying.active_model import model_here
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.keys import BACKGROUND_KEY, CONFIRM_KEY, keys_of
from earshot_trainer.labelling.review_picture import review_picture
from earshot_trainer.labelling.session import Suggestion
from earshot_trainer.labelling.terminal import WHY, about
from earshot_trainer.labelling.view import Ear, View, samples_of
from earshot_trainer.labelling.waiting import Waiting, what_waits
from earshot_trainer.labelling.words import NOT, household_labels, labelling_of

_MOST_HEARD: Final = 16


@dataclass(frozen=True, slots=True)
class Button:
    """A word that can be said with one press."""

    key: str
    text: str
    words: str


@dataclass(frozen=True, slots=True)
class Sheet:
    """One recording as the page shows it.

    Attributes:
        waiting: which, and why it is asked about; None: nothing waits.
        left: how many wait, this one included.
        why: that in words.
        told: what the model hears, or what is wrong with the audio.
        buttons: the words that can be said.
    """

    waiting: Waiting | None
    left: int
    about: str = ""
    why: str = ""
    told: str = ""
    buttons: tuple[Button, ...] = ()


class ReviewDesk:
    """Serves any number of threads.

    Args:
        home: whose recordings are reviewed.
        engine: its catalogue.
    """

    def __init__(self, home: Home, engine: Engine) -> None:
        self._home = home
        self._engine = engine
        self._library = Library(engine)
        self._labellings = Labellings(engine)
        self._lock = threading.Lock()
        self._ear: Ear | None = None
        self._heard: OrderedDict[str, View] = OrderedDict()

    def sheet(self, after: str = "", show: str = "") -> Sheet:
        """Return the recording that comes after another in the queue, or a certain one that waits; else the first.

        Raises:
            OperatorError: the catalogue cannot be read.
        """
        queue = what_waits(self._engine)
        if not queue:
            return Sheet(None, 0)
        place = {one.info.sha256: number for number, one in enumerate(queue)}
        number = place.get(show, place.get(after, -1) + 1)
        current = queue[number % len(queue)]
        why = WHY[current.why] + (f"; {current.note}" if current.note else "")
        labels = self._labels()
        try:
            view = self.hear(current.info)
        except EarshotError as error:
            return Sheet(current, len(queue), about(current), why, str(error), buttons_for(None, labels))
        return Sheet(
            current, len(queue), about(current), why, view.told(), buttons_for(Suggestion.of(current, view), labels)
        )

    def recording(self, sha256: str) -> RecordingInfo | None:
        """Return a recording by its content."""
        return self._library.get(sha256)

    def audio(self, info: RecordingInfo) -> bytes:
        """Return its FLAC file.

        Raises:
            OperatorError: it is not there.
        """
        return open_audio_store(self._home.recordings_place).read(info.sha256)

    def picture(self, info: RecordingInfo) -> bytes:
        """Return its PNG.

        Raises:
            EarshotError: audio or model cannot be used.
        """
        return review_picture(self.hear(info))

    def say(self, sha256: str, words: str) -> RecordingInfo:
        """Label a recording with words such as `siren`, `siren+glass`, `background` or `not_siren`.

        Raises:
            OperatorError: no such words or recording.
        """
        said = [word for word in words.split("+") if word]
        known = self._labels()
        for word in said:
            if word not in (*known, "background") and word.removeprefix(NOT) not in known:
                raise OperatorError(f"{word!r} is no label here")
        if not said:
            raise OperatorError("no label was chosen")
        return self._labellings.say(sha256, labelling_of(said, by="http", user="review page"), datetime.now(UTC))

    def take_back(self, sha256: str) -> RecordingInfo:
        """Take back what was said last about a recording.

        Raises:
            EarshotError: nothing was, or it was labelled anew.
        """
        return self._labellings.take_back(sha256)

    def _labels(self) -> tuple[str, ...]:
        return household_labels(self._home.config, self._library.all())

    def hear(self, info: RecordingInfo) -> View:
        """Return what the model hears; the latest are remembered.

        Raises:
            EarshotError: audio or model cannot be used.
        """
        with self._lock:
            if info.sha256 not in self._heard:
                if self._ear is None:
                    self._ear = Ear(model_here(self._home, self._engine), self._labels())
                self._heard[info.sha256] = self._ear.hear(samples_of(self.audio(info), info.id))
            self._heard.move_to_end(info.sha256)
            while len(self._heard) > _MOST_HEARD:
                self._heard.popitem(last=False)
            return self._heard[info.sha256]


def buttons_for(suggestion: Suggestion | None, labels: Sequence[str]) -> tuple[Button, ...]:
    """Return the words to choose from, the likely one first."""
    buttons = []
    if suggestion is not None:
        words = "+".join((*suggestion.labels, *(NOT + label for label in suggestion.absent))) or "background"
        buttons.append(Button(CONFIRM_KEY, f"yes, {suggestion.title}", words))
    buttons += [Button(key, label, label) for key, label in keys_of(labels).items()]
    return (*buttons, Button(BACKGROUND_KEY, "background", "background"))
