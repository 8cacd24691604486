"""What a check found."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a diagnosis.

    Attributes:
        check: what was looked at, a word or two.
        outcome: `fail` when the node cannot do its work so, `warn` when something may surprise.
        what: what was found, one line.
        fix: what to do, one line; empty when fine.
    """

    check: str
    outcome: Outcome
    what: str
    fix: str = ""


def ok(check: str, what: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", what)


def warn(check: str, what: str, fix: str) -> Finding:
    """Works, with a limit that somebody should know."""
    return Finding(check, "warn", what, fix)


def fail(check: str, what: str, fix: str) -> Finding:
    """Does not work."""
    return Finding(check, "fail", what, fix)
