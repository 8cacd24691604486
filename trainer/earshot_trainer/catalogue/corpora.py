"""Corpora in the catalogue: which there are and where; their audio stays where it is."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import get_args

from sqlalchemy import Engine, delete, insert, select

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import corpora, stamp
from earshot_trainer.corpus.layouts import Layout


@dataclass(frozen=True, slots=True)
class Corpus:
    """A registered corpus.

    Attributes:
        layout: how it is read; see `corpus.layouts`.
        folder: where it lies, absolute.
        manifest: its table, absolute.
        recordings: how many were there when it was added, `duration_s` long in all.
        licences: what its table says, a line.
        added: when.
    """

    name: str
    layout: Layout
    folder: Path
    manifest: Path
    recordings: int
    duration_s: float
    licences: str
    added: str


class Corpora:
    """What retraining may learn from beside the household's recordings. Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, corpus: Corpus, now: datetime) -> None:
        """Enter one.

        Raises:
            OperatorError: the name is taken, or the same table is entered already.
        """
        for known in self.all():
            if known.name == corpus.name:
                raise OperatorError(f"there is a corpus {known.name!r} already, {known.folder}; take another name")
            if known.manifest == corpus.manifest:
                raise OperatorError(f"{corpus.manifest} is the corpus {known.name!r} already")
        values = {
            "name": corpus.name,
            "kind": corpus.layout,
            "folder": str(corpus.folder),
            "manifest": str(corpus.manifest),
            "recordings": corpus.recordings,
            "duration_s": corpus.duration_s,
            "licences": corpus.licences,
            "added": stamp(now),
        }
        with transaction(self._engine) as connection:
            connection.execute(insert(corpora).values(values))

    def remove(self, name: str) -> None:
        """Forget one.

        Raises:
            OperatorError: there is none of that name.
        """
        with transaction(self._engine) as connection:
            if connection.execute(delete(corpora).where(corpora.c.name == name)).rowcount != 1:
                raise OperatorError(f"no corpus {name!r}; `trainer-cli corpora list` shows what there is")

    def all(self) -> list[Corpus]:
        """Return all by name."""
        with transaction(self._engine) as connection:
            rows = connection.execute(select(corpora).order_by(corpora.c.name)).all()
        return [
            Corpus(
                row.name,
                next(layout for layout in get_args(Layout) if layout == row.kind),
                Path(row.folder),
                Path(row.manifest),
                row.recordings,
                row.duration_s,
                row.licences,
                row.added,
            )
            for row in rows
        ]
