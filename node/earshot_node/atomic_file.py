"""Files that are whole or absent, whenever the power goes."""

import os
from pathlib import Path
from typing import Final

TEMPORARY_SUFFIX: Final = ".tmp"


def write_atomically(path: Path, data: bytes) -> None:
    """Write `data` under a temporary name, have the disk take it, then give it its name.

    Raises:
        OSError: the disk refuses; `path` is as it was.
    """
    temporary = path.with_name(path.name + TEMPORARY_SUFFIX)
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Have the disk take what was named, renamed or removed in `folder`."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_left_overs(folder: Path) -> None:
    """Remove what an interrupted write left in `folder`."""
    for left_over in folder.glob(f"*{TEMPORARY_SUFFIX}"):
        left_over.unlink(missing_ok=True)
