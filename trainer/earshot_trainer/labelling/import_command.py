"""`trainer-cli import`."""

import json
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

from earshot_node.analysis import find_audio_files
from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.importing import Importer, Row
from earshot_trainer.labelling.incoming import Naming
from earshot_trainer.labelling.words import household_labels, labelling_of, new_words

SHOWN_REASONS = 20


def run_import(
    home: Home, folder: Path, labels: tuple[str, ...], *, takes_new: bool, is_dry: bool, as_json: bool
) -> int:
    """Import a folder, print what came, and return the exit code: 0 all, 3 some were left out, 1 all were.

    Raises:
        OperatorError: no such folder, no audio in it, a wrong label, or another import runs.
    """
    folder = folder.absolute()
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder; give one that holds audio files")
    library = Library(open_catalogue(home.catalogue_url))
    known = household_labels(home.config, library.all())
    if labels and not takes_new and (new := new_words(labelling_of(labels, "command_line"), known)):
        raise OperatorError(f"--label: {new}; known are {', '.join((*known, 'background'))}; --new-label takes it")
    files = find_audio_files([folder])
    importer = Importer(library, open_audio_store(home.recordings_place), home.incoming, is_dry)
    console = Console(stderr=True)
    with home.alone("import"), Progress(console=console, disable=not console.is_terminal) as progress:
        for left in home.incoming.glob("import-*"):  # by an import that was killed
            left.unlink()
        task = progress.add_task("importing", total=len(files))
        naming = Naming(folder, labels, known, takes_new)
        rows = list(importer.bring(files, naming, lambda: progress.advance(task)))
    if as_json:
        plain = [{**_plain(row), "path": str(row.path.relative_to(folder))} for row in rows]
        click.echo(json.dumps({"schema": 1, "dry_run": is_dry, "files": plain}, indent=1))
    else:
        _tell(rows, folder, is_dry=is_dry)
    left_out = sum(row.fate == "left out" for row in rows)
    if not left_out:
        return EXIT_DONE
    return EXIT_PARTLY if left_out < len(rows) else EXIT_FAILED


def _plain(row: Row) -> dict[str, object]:
    return {"fate": row.fate, "title": row.title, "reason": row.reason, "duration_s": round(row.duration_s, 3)}


def _tell(rows: list[Row], folder: Path, *, is_dry: bool) -> None:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("label", "new", "labelled anew", "known before", "minutes"):
        table.add_column(name, justify="left" if name == "label" else "right")
    counted = Counter((row.title or "unlabelled", row.fate) for row in rows if row.fate != "left out")
    for title in sorted({title for title, _ in counted}):
        seconds = sum(row.duration_s for row in rows if (row.title or "unlabelled") == title and row.fate != "left out")
        figures = (counted[title, "new"], counted[title, "labelled"], counted[title, "known"])
        table.add_row(escape(title), *(str(figure) for figure in figures), f"{seconds / 60:.1f}")
    came = sum(counted.values())
    click.echo(f"read {len(rows)} files in {folder}")
    if came:
        Console(highlight=False).print(table)
    for row in rows:
        if row.fate == "labelled":
            click.echo(f"{row.path.relative_to(folder)}: {row.title} now, {row.reason}")
    left = [row for row in rows if row.fate == "left out"]
    for row in left[:SHOWN_REASONS]:
        click.echo(f"left out {row.path.relative_to(folder)}: {row.reason}", err=True)
    if len(left) > SHOWN_REASONS:
        click.echo(f"left out {len(left) - SHOWN_REASONS} more; --json lists all", err=True)
    new = sum(row.fate == "new" for row in rows)
    if is_dry:
        click.echo(f"{new} would be new; nothing was written; next: the same without --dry-run")
    else:
        waiting = any(row.fate == "new" and not row.title for row in rows)
        click.echo(f"{new} new; next: trainer-cli {'label' if waiting else 'retrain'}")
