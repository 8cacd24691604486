"""`trainer-cli import`."""  # noqa: N999 - commands are named after their modules

from pathlib import Path

import click

from earshot_trainer.cli.home_option import HELP_NAMES, home_option

EXAMPLE = """\b
Examples:
  trainer-cli import sounds --dry-run               sounds/siren/a.wav becomes a siren, sounds/b.mp3 waits for a label
  trainer-cli import phone --label background
  trainer-cli import from-export                    what `trainer-cli export` wrote, as it was
"""


@click.command("import", epilog=EXAMPLE, context_settings=HELP_NAMES)
@home_option
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--label", "labels", multiple=True, help="What sounds in all of them, or background; repeatable.")
@click.option("--new-label", "takes_new", is_flag=True, help="Take labels that nobody has used here yet.")
@click.option("--dry-run", "is_dry", is_flag=True, help="Only say what would come.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    home: Path | None, folder: Path, labels: tuple[str, ...], takes_new: bool, is_dry: bool, as_json: bool
) -> int:
    """Bring the audio files of FOLDER and its subfolders into the trainer's home.

    A file's label is that of --label, else of the JSON beside it (as nodes and `export` write it), else the name of
    its subfolder: a label, `background`, `not_LABEL` or `unlabelled`. Each content comes once, as 16 kHz mono FLAC;
    the originals stay. Exit code 3: some files were left out, each with its reason; 1: all were.
    """
    from earshot_trainer.home.folder import open_home
    from earshot_trainer.labelling.import_command import run_import

    return run_import(open_home(home), folder, labels, takes_new=takes_new, is_dry=is_dry, as_json=as_json)
