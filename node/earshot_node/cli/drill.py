"""`node-cli drill`: would a siren be heard, and told?"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from earshot_node.contract.config import NodeConfig
    from earshot_node.contract.drill import DrillResult

EPILOG = """\b
Examples:
  node-cli drill --config node.yaml
  node-cli drill --config node.yaml --source street --level -40

Exit code 1 when a siren was not heard, not detected or not told.
"""


@click.command(epilog=EPILOG)
@click.option("--config", "path", required=True, type=click.Path(path_type=Path), help="The running node's YAML file.")
@click.option("--source", "sources", multiple=True, help="This source only; may be given several times.")
@click.option(
    "--level", "level_dbfs", type=click.FloatRange(-60, -3), help="How loud, in dBFS; default: as configured."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per source.")
def drill(path: Path, sources: tuple[str, ...], level_dbfs: float | None, *, as_json: bool) -> int:
    """Play a running node a siren, behind its microphone, and follow the alarm to the broker.

    A quarter of a minute for each source. Nobody is alarmed; see docs/drill-and-house.md for what a drill shows and
    what it does not.
    """
    from earshot_node.configuration.file import load_config

    config = load_config(path)
    known = [source.id for source in config.sources]
    for unknown in [source for source in sources if source not in known]:
        raise click.UsageError(f"no source {unknown!r}; there are {', '.join(known)}")
    return asyncio.run(_drill(config, sources or tuple(known), level_dbfs, as_json=as_json))


async def _drill(config: "NodeConfig", sources: tuple[str, ...], level_dbfs: float | None, *, as_json: bool) -> int:
    from earshot_node.drill.asking import ask_for_drills

    failed = False
    async for result in ask_for_drills(config, sources, level_dbfs):
        failed = failed or result.outcome == "failed"
        click.echo(result.encode().decode() if as_json else "\n".join(_lines(result)))
    return EXIT_FAILED if failed else EXIT_DONE


def _lines(result: "DrillResult") -> list[str]:
    steps = (
        ("heard", result.heard, ""),
        ("detected", result.detected, "" if result.detected_s is None else f"after {result.detected_s:.1f} s"),
        ("published", result.published, "" if result.alarm_s is None else f"after {result.alarm_s:.1f} s"),
    )
    over = "" if result.background_dbfs is None else f" over a background of {result.background_dbfs:.0f} dBFS"
    color = "green" if result.outcome == "passed" else "red"
    head = f"{result.source}: {click.style(result.outcome, fg=color)}, a siren of {result.level_dbfs:.0f} dBFS{over}"
    lines = [head, *(f"  {'yes' if done else 'no ':<4} {step:<10} {when}".rstrip() for step, done, when in steps)]
    return [*lines, f"  -> {result.reason}"] if result.reason else lines
