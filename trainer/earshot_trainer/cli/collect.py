"""`trainer-cli collect`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli collect
  trainer-cli collect --node hall --node attic
"""


@click.command("collect", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--node", "nodes", multiple=True, help="Only from this node; repeatable; default: all that have joined.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(home: Path | None, nodes: tuple[str, ...], as_json: bool) -> int:
    """Bring the recordings of all nodes here: audio checked by its hash, each content once.

    May be interrupted at any time; the next one goes on where it was. A node that is away is named, and so is a
    recording that cannot be had; the others go on, and the exit code is 3.
    """
    from earshot_trainer.collecting.command import run_collection
    from earshot_trainer.home.folder import open_home

    return run_collection(open_home(home), nodes, as_json=as_json)
