"""Which recordings may be learnt from and which are kept to test on. Never splits a group."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording


@dataclass(frozen=True)
class Split:
    """`train` and `test` share no group; `unused` is neither (it leaks into the test side)."""

    train: tuple[Recording, ...]
    test: tuple[Recording, ...]
    unused: tuple[Recording, ...]


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
