"""What the licence texts of recordings allow, as far as words in them tell."""

import re

_NON_COMMERCIAL = re.compile(r"\bNC\b|non-?commercial", re.IGNORECASE)
_UNCLEAR = re.compile(r"none stated|unknown|not in repo", re.IGNORECASE)
_OF_ONE_FILE = re.compile(r"\s*\(Freesound id [^)]*\)")


def forbids_commercial_use(licence: str) -> bool:
    """Whether the text bars commercial use."""
    return bool(_NON_COMMERCIAL.search(licence))


def is_unclear(licence: str) -> bool:
    """Whether nobody stated what the recording's licence is."""
    return bool(_UNCLEAR.search(licence))


def family_of(licence: str) -> str:
    """Return the text without what differs by recording alone, a Freesound id in brackets."""
    return _OF_ONE_FILE.sub("", licence).strip()
