"""`node-cli doctor`: what is wrong, and the fix."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_FAILED

if TYPE_CHECKING:
    from earshot_node.doctor.finding import Finding

EPILOG = """\b
Examples:
  node-cli doctor
  node-cli doctor --config config/node.yaml
  node-cli doctor --config config/node.yaml --json

Exit code 1 when something does not work.
"""
_SIGNS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command(epilog=EPILOG)
@click.option("--config", "path", type=click.Path(path_type=Path), help="Check this node's sources and broker too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per finding.")
def doctor(path: Path | None, *, as_json: bool) -> int:
    """Check configuration, audio, broker, model, clock, disk and ports, and say what to do about what is wrong.

    A running node is left in peace. Without --config only the machine, its microphones and the model are checked.
    """
    from earshot_node.doctor.diagnosis import diagnose

    counts = {"ok": 0, "warn": 0, "fail": 0}
    for finding in diagnose(path):
        counts[finding.outcome] += 1
        if as_json:
            click.echo(json.dumps(asdict(finding)))
        else:
            _show(finding)
    if not as_json:
        click.echo(f"{counts['ok']} ok, warnings: {counts['warn']}, failures: {counts['fail']}")
    return EXIT_FAILED if counts["fail"] else EXIT_DONE


def _show(finding: "Finding") -> None:
    sign, color = _SIGNS[finding.outcome]
    click.echo(f"{click.style(sign, fg=color)}  {finding.check}: {finding.what}")
    if finding.fix:
        click.echo(f"      -> {finding.fix}")
