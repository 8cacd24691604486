"""`node-cli unpublish`: take a node out of the broker and Home Assistant."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig

EPILOG = """\b
Examples:
  node-cli unpublish --config node.yaml
  node-cli unpublish --config node.yaml --node old-name
"""


@click.command(epilog=EPILOG)
@click.option("--config", "path", required=True, type=click.Path(path_type=Path), help="The node's YAML file.")
@click.option("--node", "node_id", help="Remove this node instead, such as one that had another name; same broker.")
@click.option("--force", is_flag=True, help="Even if the broker says that the node is online.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def unpublish(path: Path, node_id: str | None, *, force: bool, yes: bool) -> int:
    """Remove everything retained of a node: its devices in Home Assistant, states, settings and health.

    Stop the node first. History that Home Assistant has recorded stays there.
    """
    import asyncio

    from earshot_node.configuration.file import load_config

    own = load_config(path)
    config = load_config(path, overrides={"node.id": node_id}) if node_id else own
    broker = f"{config.mqtt.host}:{config.mqtt.effective_port}"
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError("nobody is there to ask; give --yes")
        if not click.confirm(f"Remove node {config.node.id} from {broker} and Home Assistant?"):
            return EXIT_FAILED
    # The state folder is the configured node's: it says nothing about another one.
    topics = asyncio.run(_remove(config, with_store=config.node.id == own.node.id, force=force))
    for topic in topics:
        click.echo(f"removed {topic}")
    click.echo(f"{len(topics)} retained messages of node {config.node.id} removed from {broker}")
    return EXIT_DONE


async def _remove(config: "NodeConfig", *, with_store: bool, force: bool) -> tuple[str, ...]:
    from earshot_node.configuration.file import state_folder
    from earshot_node.mqtt.store import StateStore
    from earshot_node.mqtt.unpublish import unpublish as remove

    path = state_folder(config) / "node.sqlite"
    if not with_store or not path.exists():
        return await remove(config, force=force)
    store = StateStore(path)
    try:
        return await remove(config, store, force=force)
    finally:
        store.close()
