"""Child processes of this one, as the kernel sees them."""

import os
from pathlib import Path


def child_pids(parent: int | None = None) -> list[int]:
    """Return the ids of the direct children of a process, this one by default; zombies do not count."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                state, parent_pid = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            except OSError:
                continue
            if int(parent_pid) == (parent or os.getpid()) and state != "Z":
                found.append(int(entry.name))
    return found


def command_line(pid: int) -> str:
    """Return a process's command line, empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def children_like(part: str, parent: int | None = None) -> list[int]:
    """Return the children of a process whose command line contains `part`."""
    return [pid for pid in child_pids(parent) if part in command_line(pid)]
