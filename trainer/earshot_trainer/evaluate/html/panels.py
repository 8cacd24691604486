"""The pieces that a page is laid out from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from markupsafe import Markup

from earshot_trainer.evaluate.html.tables import Row, Table, figure_row


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture or table with its title and what it says.

    Attributes:
        wide: takes the page's whole width.
        folded: only its title is seen until a person opens it; for tables.
    """

    title: str
    note: str = ""
    picture: Markup | None = None
    table: Table | None = None
    wide: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure for the headline table.

    Attributes:
        note: how it was measured, in a few words.
        values: by model title; a model without it is left out or None.
        text: writes a value.
    """

    name: str
    note: str
    values: Mapping[str, float | None]
    text: Callable[[float], str]
    higher_is_better: bool = True

    def row(self, titles: Sequence[str]) -> Row | None:
        """Return it for these models in order; None if none has it."""
        values = [self.values.get(title) for title in titles]
        return figure_row(self.name, self.note, values, self.text, higher_is_better=self.higher_is_better)


@dataclass(frozen=True, slots=True)
class Part:
    """Panels under a heading, and figures for the headline table; a general part belongs to no label."""

    title: str
    note: str
    panels: list[Panel]
    headline: list[Figure] = field(default_factory=list)
    general: bool = False
