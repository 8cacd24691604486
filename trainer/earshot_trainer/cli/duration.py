"""An option's duration such as `90s`, `30m`, `2h`."""

import re
from typing import Any, Final

import click
from click.core import ParameterSource

_PATTERN: Final = re.compile(r"(\d+(?:\.\d+)?)(s|m|h|d)?")
_UNITS_S: Final = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, None: 1.0}


class Duration(click.ParamType[float]):
    """Seconds; a number without a unit is seconds."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds.

        Raises:
            click.BadParameter: it is no duration.
        """
        if isinstance(value, float):
            return value
        found = _PATTERN.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is no duration such as 90s, 30m or 2h", param, ctx)
        return float(found[1]) * _UNITS_S[found[2]]


def check_watch(canary: str) -> None:
    """Refuse a `--watch` on the command line without a canary to be watched.

    Raises:
        UsageError: there is one.
    """
    given = click.get_current_context().get_parameter_source("watch_s") is ParameterSource.COMMANDLINE
    if given and not canary:
        raise click.UsageError("--watch is how long a canary is watched; name one with --canary NODE")
