"""`node-cli record`: labelled recordings for training."""

import getpass
import json
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from click.core import ParameterSource

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_INTERRUPTED, EXIT_PARTLY
from earshot_node.errors import OperatorError

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig
    from earshot_node.contract.recordings import Labelling, RecordingInfo
    from earshot_node.recordings.session import Desk, Plan
    from earshot_node.recordings.studio import Studio, StudioInfo

SERVICE_CONFIG: Final = Path("/etc/earshot/node.yaml")
_BESIDE_AUTO: Final = ("auto", "path", "yes", "as_json")
EPILOG = """\b
Examples:
  node-cli record --label siren --count 20
  node-cli record --label background --count 20 --gap 5
  node-cli record --label siren --source hallway --seconds 5 --count 3 --yes
  node-cli record --label siren --from-event 4be1f0c2a9d84f7e8f0a1b2c3d4e5f60
  node-cli record --not siren --from-event 4be1f0c2a9d84f7e8f0a1b2c3d4e5f60
  node-cli record --auto

Exit code 3 when fewer takes were kept than asked for.
"""


@click.command(epilog=EPILOG)
@click.option(
    "--label",
    "labels",
    multiple=True,
    help="What sounds; repeat it for several at once; `background`: nothing of it all.",
)
@click.option("--not", "absent", multiple=True, metavar="LABEL", help="What does not sound, whatever else may.")
@click.option("--source", "source_id", help="Which source of the configuration; default: the first.")
@click.option("--seconds", type=click.FloatRange(0.5, 60), default=3.0, show_default=True, help="Length of a take.")
@click.option("--count", type=click.IntRange(1, 1000), default=1, show_default=True, help="How many takes.")
@click.option(
    "--gap", "gap_s", type=click.FloatRange(0, 3600), default=1.0, show_default=True, help="Seconds between two takes."
)
@click.option("--from-event", "event_id", help="Label the clip around a past event, by its id.")
@click.option("--auto", is_flag=True, help="Until Ctrl-C, show what the node keeps by itself, unlabelled.")
@click.option("--config", "path", type=click.Path(path_type=Path, dir_okay=False), help="The node's YAML file.")
@click.option("--yes", is_flag=True, help="Ask nothing, as without a terminal: silent takes are not kept.")
@click.option("--new-label", is_flag=True, help="Begin a label that nobody has used yet, unasked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per recording; asks nothing.")
@click.pass_context
def record(
    context: click.Context,
    labels: tuple[str, ...],
    absent: tuple[str, ...],
    *,
    source_id: str | None,
    seconds: float,
    count: int,
    gap_s: float,
    event_id: str | None,
    auto: bool,
    path: Path | None,
    yes: bool,
    new_label: bool,
    as_json: bool,
) -> int:
    """Record labelled audio for training, from a microphone or around a past event.

    While the node's service runs, it records from the stream that it hears; otherwise the source is opened here.
    Without --config, ./node.yaml or /etc/earshot/node.yaml is used, else the default microphone. What is recorded
    waits on this node until it is collected.

    --auto labels nothing: it shows the detected and uncertain moments that the running node keeps, with what is left
    of the day's budget; without a running node it listens itself. The owner turns it on with `recordings.auto.enabled`
    in the configuration.
    """
    if auto:
        _refuse_beside_auto(context)
        return _follow(_open_studio(_load(path)), as_json=as_json)
    if bool(labels) == bool(absent):
        raise click.UsageError("give --label, such as --label siren, --not with --from-event, or --auto")
    if absent and not event_id:
        raise click.UsageError("--not needs --from-event; to record anything else, give its --label, or background")
    from earshot_node.recordings.labels import parse_labels

    said, denied = parse_labels(labels), parse_labels(absent)
    asks = not (yes or as_json) and sys.stdin.isatty() and sys.stderr.isatty()
    studio = _open_studio(_load(path))
    try:
        about = studio.describe()
        _check_labels((*said, *denied), about, asks=asks, new_label=new_label)
        if event_id:
            info = studio.label_event(event_id, _labelling(said, denied))
            _tell_event(info, as_json=as_json)
            return EXIT_DONE
        plan = _plan(about, source_id, seconds, count, gap_s, background=not said)
        chosen = {"--config": path, "--source": source_id}
        again = "".join(f" {option} {shlex.quote(str(value))}" for option, value in chosen.items() if value)
        return _record_all(studio, about, plan, said, again, asks=asks, as_json=as_json)
    finally:
        studio.close()


def _refuse_beside_auto(context: click.Context) -> None:
    """Everything that says what to record, or how, is for recording by hand."""
    for option in context.command.params:
        given = option.name is not None and context.get_parameter_source(option.name) is ParameterSource.COMMANDLINE
        if given and option.name not in _BESIDE_AUTO:
            raise click.UsageError(f"--auto keeps what the node itself finds; {option.opts[0]} does not go with it")


def _follow(studio: "Studio", *, as_json: bool) -> int:
    from earshot_node.recordings.follow_desk import FollowDesk

    desk = FollowDesk(as_json=as_json)
    try:
        for news in studio.follow():
            desk.tell(news)
    except KeyboardInterrupt:
        click.echo(err=True)
    finally:
        desk.end()
        studio.close()
    return EXIT_DONE


def _load(path: Path | None) -> "NodeConfig":
    """Return the configuration: as given, from here, the service's, or one with the default microphone."""
    from earshot_node.configuration.file import load_config
    from earshot_node.contract.config import NodeConfig
    from earshot_node.contract.names import slugify

    for candidate in (path,) if path else (Path("node.yaml"), SERVICE_CONFIG):
        if path or candidate.exists():
            return load_config(candidate)
    import socket

    node = {"id": slugify(socket.gethostname().partition(".")[0])}
    return NodeConfig.model_validate({"node": node, "sources": [{"id": "microphone", "type": "microphone"}]})


def _open_studio(config: "NodeConfig") -> "Studio":
    import logging

    from earshot_node.configuration.file import state_folder
    from earshot_node.recordings.node_studio import find_node
    from earshot_node.recordings.own_studio import OwnStudio

    logging.getLogger("earshot_node").setLevel(logging.ERROR)  # what happens is told here
    state_dir = state_folder(config)
    if os.geteuid() == 0 and state_dir.exists() and state_dir.stat().st_uid != 0:
        raise OperatorError(
            f"{state_dir} belongs to {state_dir.owner()}; so that the node can read what is recorded, run: "
            f"sudo -u {state_dir.owner()} node-cli record ..."
        )
    return find_node(state_dir, config.http.token.get_secret_value()) or OwnStudio(config, state_dir)


def _check_labels(labels: tuple[str, ...], about: "StudioInfo", *, asks: bool, new_label: bool) -> None:
    """A label that nobody has used yet may be a slip of the keys."""
    from earshot_node.recordings.labels import unknown_labels

    problem = unknown_labels(labels, about.labels)
    if not problem or new_label:
        return
    if asks:
        click.echo(problem, err=True)
        click.confirm("Begin it as a new label?", abort=True, err=True)
    else:
        raise OperatorError(f"{problem}; --new-label begins a new one")


def _plan(
    about: "StudioInfo", source_id: str | None, seconds: float, count: int, gap_s: float, *, background: bool
) -> "Plan":
    from earshot_node.recordings.session import Plan

    source = source_id or next(iter(about.sources))
    if source not in about.sources:
        raise click.UsageError(f"--source {source}: the node has {', '.join(about.sources)}")
    countdown_s = 3.0 if sys.stderr.isatty() else 0.0  # nobody gets ready who does not see it
    return Plan(source, seconds, count, gap_s, background, countdown_s)


def _labelling(labels: tuple[str, ...], absent: tuple[str, ...] = ()) -> "Labelling":
    from earshot_node.recordings.labels import make_labelling

    return make_labelling(labels, absent, by="command_line", user=_user())


def _user() -> str:
    try:
        return os.environ.get("SUDO_USER") or getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return ""


def _record_all(
    studio: "Studio",
    about: "StudioInfo",
    plan: "Plan",
    labels: tuple[str, ...],
    again: str,
    *,
    asks: bool,
    as_json: bool,
) -> int:
    """Make the takes; `again` are the options that a next command needs as well."""
    from earshot_node.contract.recordings import BACKGROUND
    from earshot_node.recordings.desks import PlainDesk, Tally, TerminalDesk
    from earshot_node.recordings.session import Session

    title = " + ".join(labels) or BACKGROUND
    counts = min((about.counts.get(label, 0) for label in labels or (BACKGROUND,)), default=0)
    tally = Tally(title, counts, about.needed)
    name = about.sources[plan.source]
    through = f"through the running node {about.node}" if about.through_node else "opened here"
    shown = plan.source if name == plan.source else f"{plan.source} ({name})"
    click.echo(f"{title}: {plan.count} x {plan.seconds:g} s from {shown}, {through}", err=True)

    def run(desk: "Desk") -> int:
        session = Session(studio, desk, plan, lambda: _labelling(labels))
        code = EXIT_INTERRUPTED
        try:
            session.run()
            code = EXIT_DONE if len(session.recorded) == plan.count else EXIT_PARTLY
        except KeyboardInterrupt:
            click.echo(err=True)
        _summarize(len(session.recorded), plan.count, labels or (BACKGROUND,), studio.describe(), again)
        return code

    if not asks:
        return run(PlainDesk(tally, plan.count, as_json=as_json))
    from earshot_node.recordings.keyboard import Keyboard

    with Keyboard() as keyboard:
        return run(TerminalDesk(keyboard, tally, plan.count, plan.gap_s))


def _summarize(kept: int, wanted: int, labels: tuple[str, ...], about: "StudioInfo", again: str) -> None:
    from earshot_node.contract.recordings import BACKGROUND

    totals = {name: about.counts.get(name, 0) for name in (*labels, BACKGROUND)}
    told = ", ".join(f"{name} {count} of {about.needed}" for name, count in totals.items())
    click.echo(f"{kept} of {wanted} recorded. On this node now, and wanted for training: {told}.", err=True)
    short = [name for name, count in totals.items() if count < about.needed]
    if kept and short:
        missing = about.needed - totals[short[0]]
        click.echo(f"Next: node-cli record{again} --label {short[0]} --count {missing}", err=True)


def _tell_event(info: "RecordingInfo", *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(info.model_dump(mode="json", by_alias=True)))
        return
    assert info.labelling is not None
    click.echo(f"{info.duration_s:.1f} s around the event kept as {info.labelling.title}, {info.id}")
