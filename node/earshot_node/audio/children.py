"""Child processes that write PCM to a pipe."""

import os
import shutil
import subprocess
from collections.abc import Sequence

_TERMINATION_S = 1.0


class ChildProcess:
    """A running program with its standard output and error as descriptors; it dies with the thread that started it.

    It gets no standard input and a session of its own, so that Ctrl-C reaches the node alone.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            _bound_to_parent(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self.stdout = self._process.stdout.fileno()
        self.stderr = self._process.stderr.fileno()
        os.set_blocking(self.stderr, False)

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def close(self) -> int:
        """End it, politely first (a camera counts its sessions), within about a second; return its exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_TERMINATION_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        return self._process.returncode


def _bound_to_parent(command: Sequence[str]) -> list[str]:
    """Let the kernel kill the child when its parent dies by SIGKILL; a broken pipe alone would not wake a stuck one."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else list(command)
