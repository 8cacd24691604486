"""Runs the program that the app is about, beside its page, and ends when it ends."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress

from aiohttp import web

from earshot_app.ingress import serve_pages


async def run_beside_page(
    command: Sequence[str],
    environ: Mapping[str, str],
    pages: Iterable[web.RouteDef],
    *beside: Coroutine[None, None, None],
) -> int:
    """Run `command` until it ends; SIGTERM and SIGINT are handed on. Returns its exit code, 0 after such a signal.

    What is done `beside` it ends with it.
    """
    runner = await serve_pages(pages)
    asked: list[signal.Signals] = []
    tasks = [asyncio.create_task(one) for one in beside]
    try:
        program = await asyncio.create_subprocess_exec(*command, env=dict(environ))
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, _hand_on, program, number, asked)
        code = await program.wait()
        return 0 if asked and code == -asked[0] else code
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await runner.cleanup()


async def output_of(
    *command: str, environ: Mapping[str, str], timeout_s: float = 30.0, entered: str = ""
) -> tuple[int, str]:
    """Return exit code and output, errors included, of a short command; it is killed when it takes longer.

    Args:
        command: its words.
        environ: its variables, all of them.
        timeout_s: how long it may take.
        entered: what it reads from standard input.
    """
    program = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environ),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await asyncio.wait_for(program.communicate(entered.encode()), timeout_s)
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            program.kill()
        raise
    except TimeoutError:
        program.kill()
        await program.wait()
        return 1, f"{command[0]} {command[1]} takes longer than {timeout_s:.0f} s"
    return program.returncode or 0, output.decode(errors="replace")


def _hand_on(program: asyncio.subprocess.Process, number: signal.Signals, asked: list[signal.Signals]) -> None:
    asked.append(number)
    if program.returncode is None:
        program.send_signal(number)


def fail(error: Exception) -> int:
    """Print an error as people read it in the app's log; return the exit code."""
    print(f"error: {error}", file=sys.stderr, flush=True)  # noqa: T201 - an app's log is its standard error
    return 1
