"""The node's bearer token: given by configuration, or made once and kept."""

import os
import secrets
import tempfile
from pathlib import Path
from typing import Final

from earshot_node.errors import OperatorError

TOKEN_NAME: Final = "http_token"  # noqa: S105 - a file name


def load_or_create_token(state_dir: Path, configured: str = "") -> str:
    """Return the configured token, or the one kept in `state_dir`, which only its owner can read.

    Raises:
        OperatorError: the folder or the file cannot be used.
    """
    if configured:
        return configured
    path = state_dir / TOKEN_NAME
    try:
        state_dir.mkdir(parents=True, exist_ok=True)
        token = _read(path)
        return token or _create(path)
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise OperatorError(
            f"{path}: cannot keep the HTTP token ({reason}); set http.token or node.state_dir"
        ) from error


def read_token(state_dir: Path, configured: str = "") -> str:
    """Return the configured token, or the one kept in `state_dir`; '' if there is none.

    Raises:
        PermissionError: it is another user's.
    """
    return configured or _read(state_dir / TOKEN_NAME)


def _read(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                path.chmod(0o600)
            return file.read().strip()
    except FileNotFoundError:
        return ""


def _create(path: Path) -> str:
    """Write a new token; when another process was faster, return its."""
    token = secrets.token_urlsafe(32)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    temporary = Path(name)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(token + "\n")
        file.flush()
        os.fsync(file.fileno())
    try:
        if path.exists() and not _read(path):
            temporary.replace(path)  # an empty file, left by a full disk
        else:
            path.hardlink_to(temporary)
            temporary.unlink()
    except FileExistsError:
        temporary.unlink()
    return _read(path) or token
