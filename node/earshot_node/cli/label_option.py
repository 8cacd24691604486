"""`--label`: which of a model's labels a command is about."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import click

from earshot_node.contract.names import SIREN

EVERY: Final = "all"


def label_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the option as the argument `labels`."""
    option: Callable[[Callable[..., Any]], Callable[..., Any]] = click.option(
        "--label",
        "labels",
        multiple=True,
        metavar="LABEL",
        help=f"What to listen for; repeatable, or `{EVERY}`. Default: {SIREN}.",
    )
    return option(command)


def chosen_labels(wanted: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the labels that were asked for, in a model's own order; sirens where nothing was asked for.

    Raises:
        click.UsageError: the model, which knows `known`, does not know one.
    """
    from earshot_node.configuration.schema import closest

    for label in wanted:
        if label not in (*known, EVERY):
            hears = ", ".join(known)
            raise click.UsageError(f"--label {label}: the model hears {hears}{closest(label, known)}")
    asked = set(wanted or (SIREN,))
    return tuple(known) if EVERY in asked or not asked & set(known) else tuple(one for one in known if one in asked)
