"""`node-cli house`: the house's one alarm, without a node."""

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot_node.cli.lazy_group import EXIT_DONE
from earshot_node.cli.run import begin_logging

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig

EPILOG = """\b
Examples:
  node-cli house --config house.yaml
  node-cli house --config house.yaml --remove

house.yaml needs the section `mqtt` only; `house` has the settings. Sources in it are not opened.
"""


@click.command(epilog=EPILOG)
@click.option("--config", "path", required=True, type=click.Path(path_type=Path), help="A YAML file with the broker.")
@click.option("--remove", is_flag=True, help="Take the house out of broker and Home Assistant instead.")
def house(path: Path, *, remove: bool) -> int:
    """Make one alarm out of what all nodes at the broker hear, until stopped.

    The same runs inside a node that has house.enabled: true; only one of them does it at a time, the others stand by.
    """
    from earshot_node.configuration.file import load_config

    nothing = [{"id": "none", "type": "stdin"}]
    config = load_config(path, overrides={"sources": nothing, "labels": ["siren"]})
    if remove:
        from earshot_node.house.removal import remove_house

        for topic in asyncio.run(remove_house(config)):
            click.echo(f"removed {topic}")
        return EXIT_DONE
    begin_logging(config.log_level)
    asyncio.run(_serve(config))
    return EXIT_DONE


async def _serve(config: "NodeConfig") -> None:
    from earshot_node.house.service import ALONE, House

    task = asyncio.create_task(House(config, f"{config.node.id}{ALONE}").run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await asyncio.wait([task])
    if not task.cancelled():
        task.result()
