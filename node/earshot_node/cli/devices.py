"""`node-cli devices`: microphones with their stable ids."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from earshot_node.cli.lazy_group import EXIT_DONE, EXIT_PARTLY

if TYPE_CHECKING:
    from earshot_node.audio.devices import Microphone

EPILOG = """\b
Examples:
  node-cli devices
  node-cli devices --no-level
  node-cli devices --json

Exit code 3 when a device is there but cannot be heard.
"""
_NONE = (
    "No microphone found. Plug one in and look again; in a container pass the devices in (`--device /dev/snd`). "
    "`node-cli doctor` tells more."
)


@click.command(epilog=EPILOG)
@click.option("--level/--no-level", default=True, show_default=True, help="Listen to each for a second.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object per device.")
def devices(*, level: bool, as_json: bool) -> int:
    """List microphones with their stable ids, native rates and levels.

    The id goes into a source's `device:`; it stays the same over reboots and while other devices come and go.
    """
    from earshot_node.audio.devices import list_devices, portaudio_inputs
    from earshot_node.audio.microphone_child import Input
    from earshot_node.errors import SourceError

    problems: list[str] = []

    def inputs() -> list[Input]:
        try:
            return portaudio_inputs()
        except SourceError as error:
            problems.append(str(error))
            raise

    found = list_devices(inputs=inputs)
    rows = [{**asdict(one), **_measure(one, level=level and not problems)} for one in found]
    for problem in problems:
        click.echo(f"warning: {problem}", err=True)
    if as_json:
        for row in rows:
            click.echo(json.dumps(row))
    elif rows:
        _print_table(rows)
    else:
        click.echo(_NONE, err=True)
    return EXIT_PARTLY if any(row["problem"] for row in rows) else EXIT_DONE


def _measure(microphone: "Microphone", *, level: bool) -> dict[str, Any]:
    """Listen to a microphone that nobody else uses."""
    from earshot_node.audio.devices import check_level
    from earshot_node.errors import SourceError

    measured: dict[str, Any] = {"level_dbfs": None, "silent": None, "problem": ""}
    if not level or microphone.used_by_pid:
        return measured
    try:
        check = check_level(microphone.id)
    except SourceError as error:
        return {**measured, "problem": str(error)}
    return {**measured, "rate_hz": check.rate_hz, "level_dbfs": round(check.level_dbfs, 1), "silent": check.silent}


def _print_table(rows: list[dict[str, Any]]) -> None:
    """Print a block per device: ids are to be copied, so they are never cut."""
    for row in rows:
        rate = f"{row['rate_hz']} Hz" if row["rate_hz"] else "rate unknown"
        channels = f", {row['channels']} channel{'s' if row['channels'] > 1 else ''}" if row["channels"] else ""
        click.echo(click.style(row["id"], bold=True))
        click.echo(f"    {row['name']}, {rate}{channels}")
        click.echo(f"    {_say_level(row)}")


def _say_level(row: dict[str, Any]) -> str:
    if row["used_by_pid"]:
        return f"in use by process {row['used_by_pid']} ({row['used_by'] or 'unknown'})"
    if row["problem"]:
        return f"cannot be heard: {row['problem']}"
    if row["level_dbfs"] is None:
        return "level not checked"
    if row["silent"]:
        return "digital silence: muted, or no microphone behind it"
    return f"level {row['level_dbfs']:.0f} dBFS"
