"""`trainer-cli export`."""

from datetime import datetime
from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli export sirens --label siren --label background
  trainer-cli export hall-of-november --node hall --since 2026-11-01
"""


@click.command("export", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--label", "labels", multiple=True, help="Only these: a label, background or unlabelled; repeatable.")
@click.option("--node", "nodes", multiple=True, help="Only from this node; repeatable.")
@click.option("--since", type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"]), help="Only begun then or later, UTC.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    home: Path | None,
    folder: Path,
    labels: tuple[str, ...],
    nodes: tuple[str, ...],
    since: datetime | None,
    as_json: bool,
) -> None:
    """Write recordings into the new FOLDER: FLAC files, their JSON, and a manifest.csv.

    `trainer-cli train --data FOLDER/manifest.csv` learns from it, `trainer-cli import FOLDER` takes it in elsewhere.
    """
    from datetime import UTC

    from earshot_trainer.home.folder import open_home
    from earshot_trainer.labelling.export_command import run_export
    from earshot_trainer.labelling.exporting import Wanted

    wanted = Wanted(labels, nodes, since.replace(tzinfo=UTC) if since else None)
    run_export(open_home(home), folder, wanted, as_json=as_json)
