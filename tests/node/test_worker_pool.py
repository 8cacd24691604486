"""Workers begin as told, and end with whoever started them, however that ended."""

import os
import subprocess
import sys
from pathlib import Path

from support.waiting import wait_until
from support.worker_jobs import keep, kept

from earshot_node.worker_pool import worker_pool


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_workers_are_started_with_the_arguments() -> None:
    with worker_pool(1, keep, 3, 4) as pool:
        assert list(pool.map(kept, range(2))) == [(3, 4), (3, 4)]
    with worker_pool(1) as pool:
        assert list(pool.map(kept, range(1))) == [()]


def test_workers_of_a_process_that_is_killed_end() -> None:
    command = [sys.executable, "-m", "support.worker_jobs"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as owner:
        assert owner.stdout is not None
        worker = int(owner.stdout.readline())
        assert is_running(worker)
        owner.kill()
        owner.wait()
        wait_until(lambda: not is_running(worker), 10, "the worker's end")
