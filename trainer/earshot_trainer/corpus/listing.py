"""`trainer-cli corpora list`."""

import json

import click
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_PARTLY
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.corpora import Corpora, Corpus
from earshot_trainer.corpus.registered import read_corpus


def show_corpora(corpora: Corpora, *, as_json: bool) -> int:
    """Print all with what is there of them now; return 0, or 3 if something is missing."""
    rows = [(corpus, *_now(corpus)) for corpus in corpora.all()]
    if as_json:
        click.echo(json.dumps({"schema": 1, "corpora": [_plain(*row) for row in rows]}, indent=1))
    elif not rows:
        click.echo("no corpus is registered; next: trainer-cli corpora add NAME FOLDER")
    else:
        _tell(rows)
    return EXIT_PARTLY if any(problem for _, _, problem in rows) else EXIT_DONE


def _now(corpus: Corpus) -> tuple[int, str]:
    try:
        there = len(read_corpus(corpus).recordings)
    except OperatorError as error:
        return 0, str(error)
    lost = corpus.recordings - there
    return there, f"corpus {corpus.name}: {lost} files fewer than when it was added" if lost > 0 else ""


def _plain(corpus: Corpus, there: int, problem: str) -> dict[str, object]:
    return {
        "name": corpus.name,
        "layout": corpus.layout,
        "folder": str(corpus.folder),
        "manifest": str(corpus.manifest),
        "recordings": there,
        "hours": round(corpus.duration_s / 3600, 2),
        "licences": corpus.licences,
        "added": corpus.added,
        "problem": problem,
    }


def _tell(rows: list[tuple[Corpus, int, str]]) -> None:
    console = Console(highlight=False, soft_wrap=True)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("name", "kind", "recordings", "hours", "folder", "licences"):
        table.add_column(name, justify="right" if name in ("recordings", "hours") else "left", overflow="fold")
    for corpus, there, _ in rows:
        hours = f"{corpus.duration_s / 3600:.1f}"
        cells = (corpus.name, corpus.layout, str(there), hours, str(corpus.folder), _first_two(corpus.licences))
        table.add_row(*(escape(cell) for cell in cells))
    Console(highlight=False).print(table)
    for _, _, problem in rows:
        if problem:
            console.print(escape(problem), style="red")


def _first_two(licences: str) -> str:
    shown = licences.split(", ")
    return ", ".join(shown[:2]) + (" ..." if len(shown) > 2 else "")
