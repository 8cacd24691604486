"""`trainer-cli label`."""

import json
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import click
from rich.console import Console
from rich.progress import Progress
from sqlalchemy import Engine

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.labellings import Labellings
from earshot_trainer.catalogue.library import Library
from earshot_trainer.catalogue.opening import open_catalogue
from earshot_trainer.collecting.audio_store import open_audio_store
from earshot_trainer.deploying.active_model import model_here
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.player import Player
from earshot_trainer.labelling.session import LabelSession
from earshot_trainer.labelling.terminal import WHY, LabelTerminal, about, user_name
from earshot_trainer.labelling.view import Ear
from earshot_trainer.labelling.waiting import Waiting, what_waits
from earshot_trainer.labelling.words import household_labels


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """What was asked for; see `trainer-cli label --help`."""

    nodes: tuple[str, ...]
    suspects: bool
    only_list: bool
    bundle: Path | None
    silent: bool
    as_json: bool


def run_labelling(home: Home, request: LabelRequest) -> None:
    """List what waits, or let a person go through it.

    Raises:
        OperatorError: there is no terminal to ask in, or the home cannot be used.
    """
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not request.only_list and not is_terminal:
        raise OperatorError(
            "labelling needs a terminal; `trainer-cli label --list` shows what waits, `trainer-cli review-link` "
            "opens it in a browser"
        )
    engine = open_catalogue(home.catalogue_url)
    labels = household_labels(home.config, Library(engine).all())
    ear = Ear(model_here(home, engine, request.bundle), labels)
    queue = _suspects(home, engine, ear, request) if request.suspects else what_waits(engine, request.nodes)
    if request.only_list:
        _list(queue, suspects=request.suspects, as_json=request.as_json)
    elif not queue:
        click.echo("nothing is suspicious" if request.suspects else "nothing waits; next: trainer-cli collect")
    else:
        _ask(home, engine, ear, queue, labels, silent=request.silent)


def _suspects(home: Home, engine: Engine, ear: Ear, request: LabelRequest) -> list[Waiting]:
    from earshot_trainer.labelling.suspects import suspects_here

    recordings = [info for info in Library(engine).all() if not request.nodes or info.node in request.nodes]
    console = Console(stderr=True)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as progress:
        task = progress.add_task("listening", total=len(recordings))
        store = open_audio_store(home.recordings_place)
        found = suspects_here(recordings, store, ear, lambda: progress.advance(task))
    for line in found.told:
        click.echo(line, err=True)
    return found.waiting


def _ask(home: Home, engine: Engine, ear: Ear, queue: list[Waiting], labels: tuple[str, ...], *, silent: bool) -> None:
    session = LabelSession(queue, labels, Labellings(engine), user_name())
    with Player() as player:
        terminal = LabelTerminal(session, open_audio_store(home.recordings_place), ear, None if silent else player)
        try:
            terminal.run()
        except KeyboardInterrupt:
            click.echo()
    left = len(queue) - session.position
    after = f"{left} left, trainer-cli label goes on" if left else "next: trainer-cli retrain"
    click.echo(f"{session.said} labelled, {session.position - session.said} skipped; {after}")


def _list(queue: list[Waiting], *, suspects: bool, as_json: bool) -> None:
    if as_json:
        rows = [{**json.loads(one.info.encode()), "why": one.why, "note": one.note} for one in queue]
        click.echo(json.dumps({"schema": 1, "waiting": rows}, indent=1))
        return
    for one in queue:
        said = one.info.labelling
        now = f"  {said.title}" if said else ""
        click.echo(f"{about(one)}{now}  {WHY[one.why]}{'; ' if one.note else ''}{one.note}")
    counts = ", ".join(f"{count} {WHY[why]}" for why, count in Counter(one.why for one in queue).items())
    if suspects:
        click.echo(f"{len(queue)} perhaps labelled wrong" + ("; next: trainer-cli label --suspects" if queue else ""))
    else:
        click.echo(f"{len(queue)} wait ({counts}); next: trainer-cli label" if queue else "nothing waits")
