"""Which labels a recording may have on this node."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from earshot_node.atomic_file import write_atomically
from earshot_node.configuration.text import read_config_text
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.labels import LabelSet
from earshot_node.contract.names import validate_label
from earshot_node.contract.recordings import BACKGROUND, Labeller, Labelling
from earshot_node.errors import ConfigError, MessageError, OperatorError
from earshot_node.recordings.entry import Entry

TOLD_NAME: Final = ".labels_of_the_fleet"


def load_labels(path: Path) -> LabelSet:
    """Read a label file.

    Raises:
        ConfigError: it is missing or wrong; one line with place and expectation.
    """
    text = read_config_text(path)
    try:
        return LabelSet.model_validate(text.values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        location = tuple(first["loc"])
        where = ".".join(str(part) for part in location) or "labels"
        raise ConfigError(f"{text.where(location)}: {where}: {first['msg']}") from error


def configured_labels(config: NodeConfig) -> tuple[str, ...]:
    """Return the household's labels: those of the label file if there is one, and those that are listened for.

    Raises:
        ConfigError: the label file is missing or wrong.
    """
    path = config.recordings.labels_file
    listed = load_labels(Path(path)).names if path else ()
    return tuple(dict.fromkeys((*listed, *config.labels)))


def household_labels(config: NodeConfig, folder: Path) -> tuple[str, ...]:
    """Return the configured labels and those that the trainer told last, which are in use on any node.

    Raises:
        ConfigError: the label file is missing or wrong.
    """
    return tuple(dict.fromkeys((*configured_labels(config), *_told_labels(folder))))


def keep_told_labels(folder: Path, labels: LabelSet) -> None:
    """Keep in the folder of the recordings what the trainer tells.

    Raises:
        OperatorError: the disk refuses it.
    """
    if labels.names == _told_labels(folder):
        return
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        write_atomically(folder / TOLD_NAME, labels.model_dump_json(by_alias=True).encode())
    except OSError as error:
        raise OperatorError(f"recordings: {folder}: {error.strerror}; the labels are not kept") from error


def _told_labels(folder: Path) -> tuple[str, ...]:
    try:
        return LabelSet.model_validate_json((folder / TOLD_NAME).read_bytes()).names
    except (OSError, ValidationError):
        return ()


def known_labels(configured: Sequence[str], entries: Iterable[Entry]) -> tuple[str, ...]:
    """Return the configured labels and those that somebody has already given to a recording."""
    given = {label for one in entries if one.info.labelling is not None for label in one.info.labelling.labels}
    return (*configured, *sorted(given - set(configured)))


def parse_labels(words: Iterable[str]) -> tuple[str, ...]:
    """Return the label set that words such as `siren` or `background` mean; `background` is the empty set.

    Raises:
        OperatorError: a word is no label, or `background` stands beside one.
    """
    names = tuple(dict.fromkeys(words))
    if BACKGROUND in names:
        if len(names) > 1:
            raise OperatorError(f"{BACKGROUND} means that nothing else sounds; give it alone")
        return ()
    try:
        return tuple(validate_label(name) for name in names)
    except ValueError as error:
        raise OperatorError(str(error)) from error


def unknown_labels(labels: Iterable[str], known: Sequence[str]) -> str:
    """Say which labels are not among the known ones, one line with the nearest known; '' if all are."""
    told = []
    for label in labels:
        if label not in known:
            near = get_close_matches(label, known, 1)
            told.append(
                f"{label!r} is not among the labels {', '.join((*known, BACKGROUND))}"
                + (f"; did you mean {near[0]!r}?" if near else "")
            )
    return "; ".join(told)


def count_labels(entries: Iterable[Entry]) -> dict[str, int]:
    """Return the number of labelled recordings by label; `background` counts those with none at all."""
    counts: dict[str, int] = {}
    for entry in entries:
        labelling = entry.info.labelling
        if labelling is None:
            continue
        names = labelling.labels or (() if labelling.absent else (BACKGROUND,))
        for name in names:
            counts[name] = counts.get(name, 0) + 1
    return counts


def make_labelling(labels: Iterable[str], absent: Iterable[str] = (), *, by: Labeller, user: str = "") -> Labelling:
    """Return what somebody says now.

    Raises:
        MessageError: it contradicts itself.
    """
    try:
        return Labelling(labels=tuple(labels), absent=tuple(absent), by=by, user=user, time=datetime.now(UTC))
    except ValidationError as error:
        raise MessageError(f"labels: {error.errors(include_url=False, include_input=False)[0]['msg']}") from error
