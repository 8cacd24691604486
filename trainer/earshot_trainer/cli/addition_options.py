"""Arguments of commands that add something to a finished run; `other-labels` and `second-opinion` share them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])

_ARGUMENTS = (
    click.argument("model", type=click.Path(path_type=Path)),
    click.option(
        "--data", "manifests", multiple=True, required=True, metavar="MANIFEST", help="Manifest CSV; repeatable."
    ),
    click.option("--cache", type=click.Path(path_type=Path), help="Decoded audio; $EARSHOT_CACHE or ~/.cache/earshot."),
)


def addition_options(function: Function) -> Function:
    """Add them to a command."""
    for argument in reversed(_ARGUMENTS):
        function = argument(function)
    return function


def example_of(command: str) -> str:
    """Return the epilog of such a command's help."""
    return f"""\b
Examples:
  trainer-cli {command} runs/siren/model.pt --data '$EARSHOT_DATA/urban/manifest.csv' \\
      --data '$EARSHOT_DATA/negatives/manifest.csv'
"""
