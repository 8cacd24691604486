"""`trainer-cli label`."""

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli label                  one key for each recording that waits
  trainer-cli label --list           what waits, and why
  trainer-cli label --suspects       what is perhaps labelled wrong
"""


@click.command("label", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.option("--node", "nodes", multiple=True, help="Only of this node; repeatable.")
@click.option("--suspects", is_flag=True, help="Go through labelled recordings that are perhaps labelled wrong.")
@click.option("--list", "only_list", is_flag=True, help="Only say what waits.")
@click.option("--bundle", type=click.Path(path_type=Path, dir_okay=False), help="Model whose view is shown.")
@click.option("--silent", is_flag=True, help="Play nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; with --list.")
def command(
    home: Path | None,
    nodes: tuple[str, ...],
    suspects: bool,
    only_list: bool,
    bundle: Path | None,
    silent: bool,
    as_json: bool,
) -> None:
    """Say what is in the recordings that wait: each is played and shown with the model's view, one key labels it.

    Audio on which two models disagree comes first, then what nodes kept unasked, then what was said with Home
    Assistant's buttons. Every key is kept at once; `u` takes it back. In a browser: `trainer-cli review-link`.

    --suspects finds labels that the other recordings speak against: models of the recordings' sound are fitted with
    each session left out in turn, and asked about the session that they have not heard.
    """
    if as_json and not only_list:
        raise click.UsageError("--json goes with --list")
    from earshot_trainer.home.folder import open_home
    from earshot_trainer.labelling.label_command import LabelRequest, run_labelling

    run_labelling(open_home(home), LabelRequest(nodes, suspects, only_list, bundle, silent, as_json))
