"""Versions of candidates: newer than anything that this home or its nodes have seen."""

import re
from collections.abc import Iterable, Sequence
from datetime import date

from earshot_node.inference.bundle import version_key

_VERSION = re.compile(r"20\d\d\.\d{1,2}\.\d{1,5}")


def next_version(known: Iterable[str], today: date) -> str:
    """Return the first version of this month that is newer than all known ones; what is no version is passed over.

    Where a known one is of a later month than today's, its number grows instead: a clock may be wrong, order may not.
    """
    newest: Sequence[int] = max((version_key(one) for one in known if _VERSION.fullmatch(one)), default=(0, 0, 0))
    if tuple(newest[:2]) >= (today.year, today.month):
        return f"{newest[0]}.{newest[1]}.{newest[2] + 1}"
    return f"{today.year}.{today.month}.0"
