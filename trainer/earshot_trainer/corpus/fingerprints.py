"""Which file holds what: a hash of each file's content, computed again only if the file changed."""

import hashlib
import json
from pathlib import Path


class Fingerprints:
    """Hashes of files' contents, remembered in `path` by a file's path, size and modification time.

    `path` has a line for each file and only grows. Two processes may add to it at once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[tuple[str, int, int], str] | None = None

    def of(self, file: Path) -> str:
        """32 hexadecimal digits of SHA-256 over all bytes of `file`.

        Raises:
            OSError: it cannot be read.
        """
        if self._known is None:
            self._known = self._load()
        status = file.stat()
        seen = (str(file), status.st_size, status.st_mtime_ns)
        if seen not in self._known:
            with file.open("rb") as stream:
                self._known[seen] = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
            with self._path.open("a", encoding="utf-8") as lines:
                lines.write(json.dumps([*seen, self._known[seen]]) + "\n")
        return self._known[seen]

    def _load(self) -> dict[tuple[str, int, int], str]:
        known = {}
        for line in self._path.read_text(encoding="utf-8").splitlines() if self._path.exists() else ():
            try:
                name, size, modified_ns, digest = json.loads(line)
                known[str(name), int(size), int(modified_ns)] = str(digest)
            except (ValueError, TypeError):
                continue  # a line cut by a kill: its file is read again
        return known
