"""What each part of the evaluation shows on the page; a part that was not measured shows nothing."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from earshot_trainer.evaluate.html.tables import Row, Table


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture or table with its title and what it says.

    Attributes:
        wide: takes the page's whole width.
        folded: only its title is seen until a person opens it.
    """

    title: str
    note: str = ""
    picture: Markup | None = None
    table: Table | None = None
    wide: bool = False
    folded: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """A part's panels under a heading, and its rows for the headline table."""

    title: str
    note: str
    panels: list[Panel]
    headline: list[Row] = field(default_factory=list)


Findings = Mapping[str, Any]
PARTS: dict[str, Callable[[Findings, str], Part | None]] = {}
"""Key of a part in the evaluation -> (findings by model title, label) -> what to show."""


def parts_of(titles: Sequence[str], findings: Sequence[Mapping[str, Any]], label: str) -> list[Part]:
    """Return the parts that were measured, in the order of PARTS."""
    found = []
    for key, show in PARTS.items():
        by_title = {title: values[key] for title, values in zip(titles, findings, strict=True) if values.get(key)}
        part = show(by_title, label) if by_title else None
        if part is not None:
            found.append(part)
    return found
