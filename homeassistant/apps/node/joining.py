"""Joins the trainer whose invite stands among the options, beside the running node."""
# ruff: noqa: INP001 - a module beside a script in a folder of its own

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from earshot_app.program import output_of

from earshot_node.deployment.durable import write_file

JOIN_S: Final = 60.0
FIRST_PAUSE_S: Final = 30.0
LONGEST_PAUSE_S: Final = 1800.0


async def join_when_possible(
    invite: str, config: Path, data: Path, environ: Mapping[str, str], first_pause_s: float = FIRST_PAUSE_S
) -> None:
    """Join the trainer of an invite that has not been used here yet; the log tells how that went.

    What failed is tried again, after half a minute at first, every half hour in the end; the same reason is told once.

    Args:
        invite: the line, '' for none; spaces and line ends in it do not matter.
        config: the node's configuration.
        data: keeps the hash of the last invite that was used.
        environ: the node's.
        first_pause_s: until the second attempt.
    """
    line = "".join(invite.split())
    used = data / "used-invite"
    trace = hashlib.sha256(line.encode()).hexdigest()
    try:
        if line and not (used.exists() and used.read_text() == trace):
            told = await _join(line, config, environ, first_pause_s)
            write_file(used, trace.encode())
            _log(told)
    except OSError as error:
        _log(f"cannot be used: {error}")


async def _join(line: str, config: Path, environ: Mapping[str, str], pause_s: float) -> str:
    """Try until it has joined; return what is told of that."""
    told = ""
    while True:
        code, output = await output_of(
            "node-cli", "join", "--config", str(config), environ=environ, timeout_s=JOIN_S, entered=f"{line}\n"
        )
        if code == 0:
            return _told_by_join(output)
        reason = " ".join(output.split()).removeprefix("error: ")
        if reason != told:
            _log(f"not joined: {reason}")
            told = reason
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _told_by_join(output: str) -> str:
    """Return who has joined whom; everything where the trainer made an account at its broker, which is to be set up.

    Else the settings that it asks for are no news: Home Assistant's broker has another name among the apps.
    """
    if "username:" in output:
        return output.strip()
    return next((line for line in output.splitlines() if " has joined " in line), output.strip())


def _log(text: str) -> None:
    print(f"option invite: {text}", flush=True)  # noqa: T201 - an app's log is its output
