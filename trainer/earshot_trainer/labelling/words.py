"""The words for what is in a recording: the household's labels, and labellings out of people's words."""

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from earshot_node.contract.names import SIREN, validate_label
from earshot_node.contract.recordings import BACKGROUND, Labeller, Labelling, RecordingInfo
from earshot_node.errors import OperatorError
from earshot_node.recordings.labels import load_labels
from earshot_trainer.home.config import TrainerConfig

NOT: Final = "not_"
UNLABELLED: Final = "unlabelled"


def household_labels(config: TrainerConfig, recordings: Iterable[RecordingInfo]) -> tuple[str, ...]:
    """Return what recordings are labelled with here: the label file's, `siren`, and what is in use already.

    Raises:
        ConfigError: the label file is missing or wrong.
    """
    listed = load_labels(Path(config.labels_file)).names if config.labels_file else ()
    given = {label for one in recordings if one.labelling for label in (*one.labelling.labels, *one.labelling.absent)}
    return tuple(dict.fromkeys((*(listed or (SIREN,)), *sorted(given))))


def labelling_of(words: Iterable[str], by: Labeller, user: str = "") -> Labelling:
    """Return what words such as `siren`, `background` or `not_siren` say, now.

    Raises:
        OperatorError: a word is no label, or they contradict each other.
    """
    said = [word.strip().lower().replace("-", "_").replace(" ", "_") for word in words]
    if BACKGROUND in said and len(said) > 1:
        raise OperatorError(f"{BACKGROUND} means that nothing else sounds; give it alone")
    absent = [word.removeprefix(NOT) for word in said if word.startswith(NOT)]
    present = [word for word in said if not word.startswith(NOT) and word != BACKGROUND]
    try:
        for word in (*absent, *present):
            validate_label(word)
        return Labelling(labels=tuple(present), absent=tuple(absent), by=by, user=user, time=datetime.now(UTC))
    except ValueError as error:  # pydantic's are of this kind
        first = str(error).splitlines()[0] if "validation error" not in str(error) else "they contradict each other"
        raise OperatorError(f"labels {', '.join(said)}: {first}") from error


def new_words(labelling: Labelling, known: Iterable[str]) -> str:
    """Say which labels nobody has used yet, with the nearest known one; '' if there is none."""
    names = list(known)
    told = []
    for label in (*labelling.labels, *labelling.absent):
        if label not in names:
            near = get_close_matches(label, names, 1)
            told.append(f"{label!r} is no label here" + (f", did you mean {near[0]!r}?" if near else ""))
    return "; ".join(told)


def is_same(one: Labelling | None, other: Labelling | None) -> bool:
    """Whether two say the same, whoever said it and when."""
    if one is None or other is None:
        return one is other
    return (set(one.labels), set(one.absent)) == (set(other.labels), set(other.absent))
