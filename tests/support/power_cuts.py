"""Cuts the power at every write: real kills in child processes, and disks that lose what was not flushed.

Everything that changes a disk goes through a few functions of `os`; these are counted and recorded.
"""

import os
import signal
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

CHANGING = ("open", "write", "fsync", "replace", "unlink", "mkdir", "chown")
Lost = Literal["content", "everything"]


@contextmanager
def each_call(before: Callable[[str, tuple[Any, ...]], None], after: Callable[..., None]) -> Iterator[None]:
    """Call `before(name, arguments)` and `after(name, arguments, result)` around whatever changes a disk."""
    originals = {name: getattr(os, name) for name in CHANGING}

    def wrapped(name: str) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            before(name, arguments)
            result = originals[name](*arguments, **options)
            after(name, arguments, result)
            return result

        return call

    for name in CHANGING:
        setattr(os, name, wrapped(name))
    try:
        yield
    finally:
        for name, original in originals.items():
            setattr(os, name, original)


def killed_at(step: int, work: Callable[[], object]) -> bool:
    """Run `work` in a fork that SIGKILLs itself before a change, half of it done; False if it ended before."""
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, "the work failed by itself"
        return os.WIFSIGNALED(status)
    done = 0

    def kill(name: str, arguments: tuple[Any, ...]) -> None:
        nonlocal done
        if done == step:
            if name == "write":
                _real_write(arguments[0], bytes(arguments[1])[: len(arguments[1]) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        done += 1

    _real_write = os.write
    try:
        with each_call(kill, lambda *_: None):
            work()
    except BaseException:  # noqa: BLE001 - a fork must not return into the tests
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


@dataclass
class _File:
    content: bytes = b""
    flushed: bytes = b""


@dataclass
class RecordedDisk:
    """What happened to a folder, and what it may look like if the power goes after any number of changes."""

    root: Path
    changes: list[tuple[Any, ...]] = field(default_factory=list)
    _open: dict[int, Path] = field(default_factory=dict)
    _before: dict[Path, bytes] = field(default_factory=dict)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what the block does."""
        self._before = {path: path.read_bytes() for path in self.root.rglob("*") if path.is_file()}
        with each_call(lambda *_: None, self._note):
            yield

    def _note(self, name: str, arguments: tuple[Any, ...], result: Any) -> None:
        if name == "open":
            path = Path(arguments[0])
            self._open[result] = path
            if arguments[1] & os.O_CREAT:
                self.changes.append(("create", path, bool(arguments[1] & os.O_TRUNC)))
        elif name == "write":
            self.changes.append(("write", self._open[arguments[0]], bytes(arguments[1])[:result]))
        elif name == "fsync":
            self.changes.append(("fsync", self._open[arguments[0]]))
        elif name in ("replace", "unlink"):
            self.changes.append((name, *(Path(path) for path in arguments)))

    def after(self, count: int, lost: Lost) -> dict[Path, bytes]:
        """The files after `count` changes and a power cut.

        Args:
            count: how many changes had happened.
            lost: `content`: names are on the disk, what was not flushed into them is not; `everything`: names that
                were not flushed with their folder are gone as well.
        """
        names = {path: _File(content, content) for path, content in self._before.items()}
        flushed_names = dict(names)
        for kind, path, *rest in self.changes[:count]:
            if kind == "create" and (path not in names or rest[0]):
                names.setdefault(path, _File()).content = b""
            elif kind == "write":
                names[path].content += rest[0]
            elif kind == "fsync" and path in names:
                names[path].flushed = names[path].content
            elif kind == "fsync":
                flushed_names = {name: file for name, file in flushed_names.items() if name.parent != path}
                flushed_names |= {name: file for name, file in names.items() if name.parent == path}
            elif kind == "replace":
                names[rest[0]] = names.pop(path)
            elif kind == "unlink":
                del names[path]
        left = names if lost == "content" else flushed_names
        return {path: file.flushed for path, file in left.items()}


def write_disk(files: dict[Path, bytes], root: Path, target: Path) -> None:
    """Write the files of `root` below another folder."""
    for path, content in files.items():
        place = target / path.relative_to(root)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content)
