"""Names that travel in topics, files and entity ids."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator

SIREN = "siren"
SirenKind = Literal["wail", "yelp", "hi_lo", "steady", "unknown"]
"""How a siren's pitch moves: slow sweeps, quick sweeps, two tones in turn, one tone; or nobody can tell."""

_SLUG = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?")
_LABEL = re.compile(r"[a-z](?:[a-z0-9_]{0,38}[a-z0-9])?")


def validate_slug(value: str) -> str:
    """Return `value` if it can name a node or a source: 1 to 40 of `a-z 0-9 _ -`, no sign at either end.

    Raises:
        ValueError: otherwise; the text says what was expected.
    """
    if not _SLUG.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid id: use 1 to 40 of a-z, 0-9, '_' and '-', such as 'hallway'")
    return value


def validate_label(value: str) -> str:
    """Return `value` if it is a label: 1 to 40 of `a-z 0-9 _`, a letter first.

    Raises:
        ValueError: otherwise; the text says what was expected.
    """
    if not _LABEL.fullmatch(value):
        raise ValueError(f"{value!r} is not a valid label: use 1 to 40 of a-z, 0-9 and '_', such as 'siren'")
    return value


def slugify(text: str) -> str:
    """Turn any text into a valid slug, `node` if nothing of it is left."""
    slug = re.sub(r"[^a-z0-9_-]+", "-", text.lower())[:40].strip("-_")
    return slug or "node"


Slug = Annotated[str, AfterValidator(validate_slug)]
Label = Annotated[str, AfterValidator(validate_label)]
