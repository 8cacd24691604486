"""A command that takes long, started from the page: one at a time, with its last lines to look at."""

import asyncio
import codecs
import contextlib
from collections import deque
from collections.abc import Mapping
from typing import Final

KEPT_LINES: Final = 200
STOP_S: Final = 20.0


class Job:
    """Runs one command in the background.

    Attributes:
        code: exit code of the last run; None before it has ended.
        lines: the end of what it wrote, errors included.
    """

    def __init__(self, environ: Mapping[str, str], *command: str) -> None:
        self._environ = dict(environ)
        self._command = command
        self._program: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self.code: int | None = None
        self.lines: deque[str] = deque(maxlen=KEPT_LINES)

    @property
    def running(self) -> bool:
        """Whether it has been started and has not ended."""
        return self._reading is not None and not self._reading.done()

    async def start(self) -> None:
        """Start it unless it runs."""
        if self.running:
            return
        self.code = None
        self.lines.clear()
        self._program = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environ,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read(self._program))

    async def stop(self) -> None:
        """End it if it runs; what it had finished by then is its own to keep."""
        if self._program is None or self._reading is None or not self.running:
            return
        with contextlib.suppress(ProcessLookupError):
            self._program.terminate()
        try:
            await asyncio.wait_for(asyncio.shield(self._reading), STOP_S)
        except TimeoutError:
            self._program.kill()
            await self._reading

    async def _read(self, program: asyncio.subprocess.Process) -> None:
        assert program.stdout is not None
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while data := await program.stdout.read(4096):
            for number, piece in enumerate(decoder.decode(data).split("\n")):
                if number == 0 and self.lines:
                    self.lines[-1] += piece
                else:
                    self.lines.append(piece)
        self.code = await program.wait()
