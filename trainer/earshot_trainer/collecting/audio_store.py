"""Collected audio by content hash: in a folder, or in any storage that fsspec reaches. Whole or absent."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from earshot_node.deployment.durable import copy_file, make_folder
from earshot_node.errors import OperatorError


class AudioStore(Protocol):
    """Where audio lies."""

    def has(self, sha256: str) -> bool:
        """Whether it is there."""

    def put(self, sha256: str, file: Path) -> None:
        """Copy a verified file into it; on return it is there for good.

        Raises:
            OperatorError: the place cannot be written.
        """

    def read(self, sha256: str) -> bytes:
        """Return the FLAC file's bytes.

        Raises:
            OperatorError: it is not there, or the place cannot be read.
        """


def open_audio_store(place: str) -> AudioStore:
    """Return the store at a folder or an fsspec URL.

    Raises:
        OperatorError: no file system of that kind, or its package is missing.
    """
    if "://" not in place:
        return AudioFolder(Path(place))
    import fsspec

    try:
        filesystem, root = fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:
        raise OperatorError(f"recordings: {place} cannot be opened: {' '.join(str(error).split())}") from error
    return AudioObjects(filesystem, root, place)


class AudioFolder:
    """`<first two digits>/<sha256>.flac` in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def has(self, sha256: str) -> bool:
        """See `AudioStore.has`."""
        return self._path(sha256).is_file()

    def put(self, sha256: str, file: Path) -> None:
        """See `AudioStore.put`."""
        path = self._path(sha256)
        try:
            make_folder(path.parent)
            copy_file(file, path, file.stat().st_size, lambda *_: None)
        except OSError as error:
            raise OperatorError(f"{path}: cannot be written ({error.strerror}); free some space") from error

    def read(self, sha256: str) -> bytes:
        """See `AudioStore.read`."""
        path = self._path(sha256)
        try:
            return path.read_bytes()
        except OSError as error:
            raise OperatorError(f"{path}: cannot be read ({error.strerror}); restore it from a backup") from error

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / f"{sha256}.flac"


class AudioObjects:
    """The same names in an fsspec file system; an object gets its name when all of it is there."""

    def __init__(self, filesystem: Any, root: str, shown: str) -> None:
        self._filesystem = filesystem
        self._root = root.rstrip("/")
        self._shown = shown

    def has(self, sha256: str) -> bool:
        """See `AudioStore.has`.

        Raises:
            OperatorError: the place cannot be reached.
        """
        with _failing_in_one_line(f"{self._shown}: cannot be reached"):
            return bool(self._filesystem.exists(self._path(sha256)))

    def put(self, sha256: str, file: Path) -> None:
        """See `AudioStore.put`."""
        name = f"{self._root}/incoming/{sha256}-{secrets.token_hex(4)}"
        path = self._path(sha256)
        with _failing_in_one_line(f"{self._shown}: {sha256[:12]} cannot be written"):
            for parent in (name.rpartition("/")[0], path.rpartition("/")[0]):
                self._filesystem.makedirs(parent, exist_ok=True)
            self._filesystem.put_file(str(file), name)
            is_whole = self._filesystem.size(name) == file.stat().st_size
            if is_whole:
                self._filesystem.mv(name, path)
        if not is_whole:
            raise OperatorError(f"{self._shown}: {sha256[:12]} was not stored whole; is there room?")

    def read(self, sha256: str) -> bytes:
        """See `AudioStore.read`."""
        with _failing_in_one_line(f"{self._shown}: {sha256[:12]} cannot be read"):
            return bytes(self._filesystem.cat_file(self._path(sha256)))

    def _path(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256}.flac"


@contextmanager
def _failing_in_one_line(what: str) -> Iterator[None]:
    """Whatever a file system raises, and a server's library raises anything at all, becomes an OperatorError."""
    try:
        yield
    except Exception as error:
        raise OperatorError(f"{what}: {' '.join(str(error).split()) or type(error).__name__}") from error
