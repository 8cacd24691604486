"""Files that a power cut leaves whole: what was written is on the disk before a name points to it.

Every change of a folder here ends with a flush of the folder, so changes reach the disk in the order of the calls.
"""

import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

PART_SUFFIX: Final = ".part"
LOCK_WAIT_S: Final = 5.0
_COPY_BYTES: Final = 1 << 18


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter; below another owner's folder it becomes that owner's."""
    if folder.is_dir():
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    _give_to_owner_of(folder.parent, folder)
    flush_folder(folder.parent)


class PartFile:
    """A file of mode 0600 that has no name of its own yet, `<path>.part`; `keep` brings it to the disk and names it.

    Args:
        path: the name that it will have.
        append: go on after what is there; else it begins empty.

    Raises:
        OSError: as for any file.
    """

    def __init__(self, path: Path, *, append: bool = False) -> None:
        self._path = path
        self._part = part_of(path)
        flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | (os.O_APPEND if append else os.O_TRUNC)
        self._descriptor = os.open(self._part, flags, 0o600)
        _give_to_owner_of(path.parent, self._part)

    def write(self, data: bytes) -> None:
        """Add `data`."""
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def keep(self) -> None:
        """Give it its name, at once and for good, in place of what may be there."""
        os.fsync(self._descriptor)
        os.replace(self._part, self._path)  # noqa: PTH105 - the tests cut at every call of `os`
        flush_folder(self._path.parent)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._descriptor)


def part_of(path: Path) -> Path:
    """Where a file lies until it is whole."""
    return path.with_name(path.name + PART_SUFFIX)


def write_file(path: Path, data: bytes) -> None:
    """Put a file of mode 0600 in place of `path`, at once and for good; half of it is never seen under its name."""
    with PartFile(path) as part:
        part.write(data)
        part.keep()


def move_file(source: Path, target: Path) -> None:
    """Give a file another name, for good; its content is on the disk already."""
    os.replace(source, target)  # noqa: PTH105 - the tests cut at every call of `os`
    flush_folder(target.parent)


def copy_file(source: Path, target: Path, limit_bytes: int, on_progress: Callable[[int, int], None]) -> None:
    """Copy a file as `write_file` does; tell bytes done and in all after every piece.

    Raises:
        ValueError: it is longer than `limit_bytes`.
        OSError: as for any file.
    """
    with source.open("rb") as original, PartFile(target) as copy:
        total = os.fstat(original.fileno()).st_size
        done = 0
        while piece := original.read(_COPY_BYTES):
            done += len(piece)
            if done > limit_bytes:
                raise ValueError(f"longer than {limit_bytes} bytes")
            copy.write(piece)
            on_progress(done, max(total, done))
        copy.keep()


def remove_file(path: Path) -> None:
    """Remove a file that may be gone already."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)  # noqa: PTH108 - the tests cut at every call of `os`
        flush_folder(path.parent)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock among processes for a moment; the kernel frees it when its holder dies.

    Raises:
        BlockingIOError: somebody has held it for longer than a moment.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        _give_to_owner_of(path.parent, path)
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.01)
        yield
    finally:
        os.close(descriptor)


def flush_folder(folder: Path) -> None:
    """Bring the names in a folder to the disk."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _give_to_owner_of(folder: Path, path: Path) -> None:
    """What root writes into the service's folder must stay the service's to read."""
    if os.geteuid() == 0:
        owner = folder.stat()
        if owner.st_uid != 0:
            os.chown(path, owner.st_uid, owner.st_gid)
