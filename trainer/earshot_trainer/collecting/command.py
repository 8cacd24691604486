"""`trainer-cli collect`."""

import asyncio
import json
from dataclasses import asdict
from typing import Self

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, TaskID, TextColumn, TransferSpeedColumn
from rich.progress import Progress as Bars

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED, EXIT_PARTLY
from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.members import Member, Members
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.collecting.collector import Collector, NodeResult, Progress
from earshot_trainer.fleet.addresses import learn_addresses
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.words import household_labels


def run_collection(home: Home, wanted: tuple[str, ...], *, as_json: bool) -> int:
    """Collect, print what came, and return the exit code: 0 all, 3 not all, 1 nothing.

    Raises:
        OperatorError: no node has joined, a wanted one has not, or another collection runs.
    """
    engine = open_catalogue(home.catalogue_url)
    members, library = Members(engine), Library(engine)
    learn_addresses(home, members)
    chosen = members.chosen(wanted)
    if not chosen:
        raise OperatorError("no node has joined; next: trainer-cli invite --node NAME")
    audio = open_audio_store(home.recordings_place)
    with home.alone("collect"), _Shown(chosen, Console(stderr=as_json)) as shown:
        collector = Collector(members, library, audio, home.incoming, shown.update)
        results = asyncio.run(collector.collect(chosen))
    reached = [member for member, one in zip(chosen, results, strict=True) if not one.broke_off]
    _tell_labels(collector, reached, home)
    if as_json:
        click.echo(json.dumps({"schema": 1, "nodes": [asdict(one) for one in results]}, indent=1))
    else:
        _tell(results, library.counts())
    failed = sum(bool(one.problem) for one in results)
    if not failed:
        return EXIT_DONE
    got_something = failed < len(results) or any(one.stored or one.known for one in results)
    return EXIT_PARTLY if got_something else EXIT_FAILED


def _tell_labels(collector: Collector, members: list[Member], home: Home) -> None:
    """A label that somebody began on one node may be recorded on all of them, as soon as it is known here."""
    try:
        labels = household_labels(home.config, collector.library.all())
    except OperatorError as error:
        click.echo(f"nodes are not told the labels: {error}", err=True)
        return
    for node, problem in asyncio.run(collector.tell_labels(members, labels)).items():
        click.echo(f"{node}: not told the labels: {_printable(problem)}", err=True)


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _tell(results: list[NodeResult], counts: dict[str, int]) -> None:
    for one in results:
        for missing in one.missing:
            click.echo(f"{one.node}: {missing.recording}: {_printable(missing.problem)}", err=True)
        known = f", {one.known} known before" if one.known else ""
        labelled = f" ({one.labelled} labelled anew)" if one.labelled else ""
        text = f"{one.node}: {one.stored} new recordings, {one.came_bytes / 1e6:.1f} MB{known}{labelled}"
        problem = _printable(one.problem)
        click.echo(f"{text}; not all: {problem}" if problem else text, err=bool(problem))
    shown = ", ".join(f"{count} {title or 'unlabelled'}" for title, count in counts.items())
    click.echo(f"here now: {shown or 'nothing yet'}")


class _Shown:
    """A bar for each node on a terminal, nothing elsewhere."""

    def __init__(self, members: list[Member], console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
        self._bars = Bars(*columns, console=console, disable=not console.is_terminal)
        self._tasks: dict[str, TaskID] = {one.id: self._bars.add_task(one.id, total=None) for one in members}

    def update(self, progress: Progress) -> None:
        """Move a node's bar."""
        self._bars.update(self._tasks[progress.node], completed=progress.done_bytes, total=progress.total_bytes)

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
