"""Options that say what a retraining learns and compares on; `retrain` and `split` share them."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from earshot_trainer.retraining.run_folder import RunRequest

Function = TypeVar("Function", bound=Callable[..., Any])
_TIMES = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]

_OPTIONS = (
    click.option("--data", "manifests", multiple=True, metavar="MANIFEST", help="One more corpus; repeatable."),
    click.option("--split", "split_path", default="", metavar="FILE", help="YAML with parts of the corpora."),
    click.option("--hold-out", "part", default="", metavar="PART", help="Compare on this part of --split."),
    click.option(
        "--exclude-group", "groups", multiple=True, metavar="GROUP", help="Neither learn from nor compare on it."
    ),
    click.option(
        "--held-out-from",
        type=click.DateTime(_TIMES),
        help="Keep own recordings of this UTC time and later to compare on, instead of drawing sessions.",
    ),
    click.option("--active", default="", metavar="BUNDLE", help="Compare with it; default: what nodes run."),
    click.option("--base", default="", metavar="FOLDER", help="Begin with this checkpoint; default: the shipped one."),
    click.option(
        "--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Such as tuning.steps=400, seed=2; repeatable."
    ),
)


def request_options(function: Function) -> Function:
    """Add them to a command."""
    for option in reversed(_OPTIONS):
        function = option(function)
    return function


def make_request(
    *,
    manifests: tuple[str, ...],
    split_path: str,
    part: str,
    groups: tuple[str, ...],
    held_out_from: datetime | None,
    active: str,
    base: str,
    overrides: tuple[str, ...],
) -> "RunRequest":
    """Return the request that the options say.

    Raises:
        click.UsageError: they do not go together.
        ConfigError: a setting that there is not, or out of range.
    """
    from earshot_trainer.retraining.run_folder import RunRequest
    from earshot_trainer.retraining.settings import load_settings

    if bool(split_path) != bool(part):
        raise click.UsageError("--split and --hold-out go together")
    return RunRequest(
        settings=load_settings(overrides),
        manifests=manifests,
        split=_absolute(split_path),
        hold_out=part,
        without_groups=groups,
        active=_absolute(active),
        base=_absolute(base),
        held_out_from=None if held_out_from is None else held_out_from.replace(tzinfo=UTC),
    )


def _absolute(path: str) -> str:
    """A run may be gone on with from another folder; names with variables are kept."""
    return str(Path(path).expanduser().absolute()) if path and "$" not in path else path
