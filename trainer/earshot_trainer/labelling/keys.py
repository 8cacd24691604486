"""Which key means what while labelling; the same in the terminal and on the review page."""

from collections.abc import Sequence
from typing import Final

from earshot_node.contract.recordings import BACKGROUND

BACKGROUND_KEY: Final = "b"
CONFIRM_KEY: Final = "y"
UNDO_KEY: Final = "u"
PLAY_KEY: Final = "p"
QUIT_KEY: Final = "q"
SEVERAL_KEY: Final = "+"
SKIP_KEYS: Final = (" ", "\n", "\r")
_TAKEN: Final = {BACKGROUND_KEY, CONFIRM_KEY, UNDO_KEY, PLAY_KEY, QUIT_KEY}
_SPARE: Final = "1234567890acdefghijklmnorstvwxz"


def keys_of(labels: Sequence[str]) -> dict[str, str]:
    """Return a key for each label: a letter of its name if one is free, else a digit or any letter.

    Labels beyond the 30th or so have none.
    """
    keys: dict[str, str] = {}
    for label in labels:
        letters = [*(letter for letter in label if letter.isalpha()), *_SPARE]
        key = next((one for one in letters if one not in _TAKEN and one not in keys), None)
        if key is not None:
            keys[key] = label
    return keys


def title_of(labels: Sequence[str]) -> str:
    """Return what people call a label set."""
    return " + ".join(labels) or BACKGROUND
