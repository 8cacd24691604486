"""`trainer-cli export`."""

import json
from collections import Counter
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.exporting import Wanted, export


def run_export(home: Home, target: Path, wanted: Wanted, *, as_json: bool) -> None:
    """Export what is wanted and print what was written.

    Raises:
        OperatorError: nothing is wanted, or the folder cannot be used.
    """
    everything = Library(open_catalogue(home.catalogue_url)).all()
    chosen = [info for info in everything if wanted.has(info)]
    if not chosen:
        raise OperatorError(f"none of the {len(everything)} recordings here is asked for; `trainer-cli label --list`")
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("exporting", total=len(chosen))
        manifest = export(chosen, open_audio_store(home.recordings_place), target, lambda: progress.advance(task))
    counts = Counter(info.labelling.title if info.labelling else "unlabelled" for info in chosen)
    size_bytes = sum(info.size_bytes for info in chosen)
    if as_json:
        told = {"schema": 1, "manifest": str(manifest), "recordings": len(chosen), "bytes": size_bytes}
        click.echo(json.dumps({**told, "labels": dict(counts)}, indent=1))
        return
    shown = ", ".join(f"{count} {title}" for title, count in sorted(counts.items()))
    click.echo(f"wrote {manifest.parent}: {len(chosen)} recordings ({shown}), {size_bytes / 1e6:.1f} MB")
    click.echo(f"next: trainer-cli train --data {manifest} ..., or trainer-cli import {manifest.parent} elsewhere")
