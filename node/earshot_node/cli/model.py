"""`node-cli model`: which model a node runs, and other ones."""

import json
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from earshot_node.cli.lazy_group import EXIT_DONE

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig
    from earshot_node.deployment.installer import Installer, Stage
    from earshot_node.deployment.slots import HistoryEntry, Slots

EPILOG = """\b
Examples:
  node-cli model list --config node.yaml
  node-cli model install siren-2026.12.0.earshot --config node.yaml
  node-cli model rollback --config node.yaml
"""
CONFIG = click.option(
    "--config", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The node's YAML file."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group(epilog=EPILOG)
def model() -> None:
    """Show, install and take back the model that decides.

    With a running node the change happens in it, without a gap; else at its next start.
    """


@model.command("list", epilog="\b\nExample:\n  node-cli model list --config node.yaml")
@CONFIG
@JSON
def list_models(path: Path, *, as_json: bool) -> int:
    """Show the slots: what is active, what a rollback goes back to, what is on trial."""
    config, folder = _load(path)
    from earshot_node.deployment.boot import Opener
    from earshot_node.deployment.slots import SlotStore

    store = SlotStore(folder)
    slots = store.load()
    base = Opener(config, store, ()).open(None).manifest
    if as_json:
        body = slots.model_dump(mode="json", by_alias=True, exclude={"history"})
        click.echo(json.dumps({**body, "base": {"name": base.name, "version": base.version}}))
        return EXIT_DONE
    if slots.active is None:
        click.echo(f"active    {base.name} {base.version}  (came with the node)")
        return EXIT_DONE
    pending = slots.active if slots.replaced is not None else None
    now = slots.without_pending
    named = {"pending": pending, "active": now.active, "previous": now.previous, "shadow": now.shadow}
    for name, slot in named.items():
        if slot is not None:
            origin = slot.sha256[:12] if slot.file else "came with the node"
            when = f"; {_next_start(slots)}" if name == "pending" else ""
            click.echo(f"{name:<9} {slot.name} {slot.version}  ({origin}){when}")
    if now.watch is not None:
        watch = now.watch
        click.echo(
            f"on trial  {watch.heard_s / 60:.0f} of {watch.span_s / 60:.0f} min heard, {watch.alarms} alarms, "
            f"{watch.former_alarms} of the former model"
        )
    return EXIT_DONE


@model.command(
    "install",
    epilog="""\b
Examples:
  node-cli model install siren-2026.12.0.earshot --config node.yaml
  node-cli model install siren-2026.12.0.earshot --config node.yaml --watch 120
""",
)
@click.argument("bundle", type=click.Path(path_type=Path, dir_okay=False))
@CONFIG
@click.option("--allow-downgrade", is_flag=True, help="Also a version that is not newer than what was active.")
@click.option("--shadow", is_flag=True, help="Only let it run beside the active model, and compare.")
@click.option(
    "--watch",
    "watch_min",
    type=click.FloatRange(0, 10_080),
    default=30.0,
    show_default=True,
    help="Minutes of listening on trial; it is rolled back by itself when it fails. 0: none.",
)
@JSON
def install(bundle: Path, path: Path, *, allow_downgrade: bool, shadow: bool, watch_min: float, as_json: bool) -> int:
    """Verify BUNDLE, run its self-test, and make it the active model.

    It must be signed by a key in model.trusted_keys, or by the trainer that the node has joined.
    """
    config, folder = _load(path)
    from earshot_node.deployment.node_client import find_node

    node = find_node(folder, config.http.token.get_secret_value())
    wanted = {"allow_downgrade": allow_downgrade, "shadow": shadow, "watch_s": watch_min * 60}
    show = _Shown(quiet=as_json)
    if node is not None:
        staged = _installer(config, folder, show).stage(bundle, f"local-{uuid.uuid4().hex}.earshot")
        slots = node.install({"file": staged.name, "name": bundle.name, **wanted}, show)
    else:
        slots = _install_here(config, folder, bundle, wanted, show)
    last = slots.history[-1]
    if as_json:
        click.echo(last.model_dump_json())
    else:
        click.echo(_outcome(last, running=node is not None, watch_min=watch_min))
    return EXIT_DONE


@model.command(epilog="\b\nExample:\n  node-cli model rollback --config node.yaml")
@CONFIG
def rollback(path: Path) -> int:
    """Go back to the previous model; twice is nothing."""
    config, folder = _load(path)
    from earshot_node.deployment.node_client import find_node
    from earshot_node.deployment.rollback import swapped
    from earshot_node.deployment.slots import SlotStore

    node = find_node(folder, config.http.token.get_secret_value())
    store = SlotStore(folder)
    slots = node.roll_back() if node is not None else store.change(lambda now: swapped(now, "on request"))
    active = slots.active
    when = "is active" if node is not None else "will be active at the next start"
    click.echo(f"{active.name} {active.version} {when}" if active is not None else "nothing to go back to")
    return EXIT_DONE


@model.command(epilog="\b\nExample:\n  node-cli model history --config node.yaml")
@CONFIG
@JSON
def history(path: Path, *, as_json: bool) -> int:
    """Show what was installed, refused, kept and rolled back, and why."""
    _, folder = _load(path)
    from earshot_node.deployment.slots import SlotStore

    entries = SlotStore(folder).load().history
    for one in entries:
        if as_json:
            click.echo(one.model_dump_json())
        else:
            former = f" after {one.former}" if one.former else ""
            reason = f": {one.reason}" if one.reason else ""
            click.echo(f"{one.time:%Y-%m-%d %H:%M:%S}Z  {one.action:<11} {one.version}{former}{reason}")
    if not entries and not as_json:
        click.echo("nothing was ever installed; the node runs the model it came with")
    return EXIT_DONE


class _Shown:
    """Says each stage once."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._last = ""

    def __call__(self, stage: "Stage", _done: float) -> None:
        if stage != self._last and not self._quiet:
            extra = " up beside the active model (about a minute of audio)" if stage == "warming" else ""
            click.echo(f"{stage}{extra} ...", err=True)
        self._last = stage


def _install_here(config: "NodeConfig", folder: Path, bundle: Path, wanted: dict[str, Any], show: _Shown) -> "Slots":
    """No node runs: the next start uses the model."""
    from earshot_node.errors import EarshotError

    installer = _installer(config, folder, show)
    with installer.alone():
        try:
            staged = installer.stage(bundle, f"local-{uuid.uuid4().hex}.earshot")
            candidate = installer.prepare(staged, bundle.name, allow_downgrade=wanted["allow_downgrade"])
            if wanted["shadow"]:
                return installer.shadow(candidate)
            return installer.switch(candidate, watch_s=wanted["watch_s"], running=False)
        except EarshotError as error:
            installer.refuse(bundle.name, error)
            raise


def _installer(config: "NodeConfig", folder: Path, show: _Shown) -> "Installer":
    from earshot_node.deployment.boot import Opener
    from earshot_node.deployment.installer import Installer
    from earshot_node.deployment.keys import trusted_keys
    from earshot_node.deployment.slots import SlotStore

    store = SlotStore(folder)
    keys = trusted_keys(config, folder)
    return Installer(store, keys, Opener(config, store, keys).open(None).manifest, show)


def _load(path: Path) -> "tuple[NodeConfig, Path]":
    from earshot_node.configuration.file import load_config, state_folder

    config = load_config(path)
    return config, state_folder(config)


def _next_start(slots: "Slots") -> str:
    trial = f", on trial for {slots.watch.span_s / 60:g} min of listening" if slots.watch is not None else ""
    return f"decides from the node's next start{trial}"


def _outcome(last: "HistoryEntry", *, running: bool, watch_min: float) -> str:
    if last.action == "shadowed":
        return f"{last.version} runs in the shadow" if running else f"{last.version} will run in the shadow"
    trial = f", on trial for {watch_min:g} min of listening" if watch_min else ""
    when = "is active" if running else "will be active at the node's next start"
    return f"{last.version} {when}{trial}; it was {last.former}"
