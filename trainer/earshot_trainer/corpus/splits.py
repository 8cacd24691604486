"""Which recordings may be learnt from and which are kept to test on. Never splits a group."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from earshot_node.errors import ConfigError, OperatorError
from earshot_trainer.corpus.recordings import Recording


@dataclass(frozen=True)
class Split:
    """`train` and `test` share no group; `unused` is neither (it leaks into the test side)."""

    train: tuple[Recording, ...]
    test: tuple[Recording, ...]
    unused: tuple[Recording, ...]


class HeldOut(BaseModel):
    """One part of a split file: what `hold_out` takes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folds: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


def load_parts(path: Path) -> dict[str, HeldOut]:
    """The parts of a cross-validation by name, from YAML.

    Raises:
        ConfigError: unreadable or of another form; names file and key.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}; try config/splits/three.yaml") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is no YAML: {error}".replace("\n", " ")) from error
    try:
        return TypeAdapter(dict[str, HeldOut]).validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {key}: {first['msg']}; a part has folds, groups and sources") from error


def hold_out(
    recordings: Sequence[Recording],
    *,
    folds: Collection[str] = (),
    groups: Collection[str] = (),
    sources: Collection[str] = (),
) -> Split:
    """Recordings of the named folds and sources are the test side.

    The named groups are kept out of training; the part of them inside a held-out fold is tested on. A group with
    one recording on the test side leaves training altogether. A fold or source that matches nothing is an error: a
    typing mistake would train on the test set. A group need not be there.
    """
    _check_names("fold", folds, {recording.fold for recording in recordings})
    _check_names("source", sources, {recording.source for recording in recordings})
    test = tuple(r for r in recordings if r.fold in folds or r.source in sources)
    tested_groups = {r.group for r in test}
    rest = [r for r in recordings if r.fold not in folds and r.source not in sources]
    barred = tested_groups | set(groups)
    train = tuple(r for r in rest if r.group not in barred)
    unused = tuple(r for r in rest if r.group in barred)
    return Split(train=train, test=test, unused=unused)


def _check_names(what: str, wanted: Collection[str], known: set[str]) -> None:
    for name in wanted:
        if name not in known:
            examples = ", ".join(sorted(known - {""})[:6])
            raise OperatorError(f"no recording has {what} {name!r}; the manifests have: {examples} ...")
