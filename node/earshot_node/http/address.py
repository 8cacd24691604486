"""Where a running node answers, for commands on the same machine."""

from pathlib import Path
from typing import Final

from earshot_node.atomic_file import write_atomically

ADDRESS_NAME: Final = "http_address"
_ANY: Final = {"0.0.0.0": "127.0.0.1", "::": "[::1]", "": "127.0.0.1"}  # noqa: S104 - what is configured, not bound


def keep_address(state_dir: Path, host: str, port: int, *, is_https: bool = False) -> None:
    """Write down where the node answers.

    Raises:
        OSError: the disk refuses.
    """
    shown = _ANY.get(host, f"[{host}]" if ":" in host else host)
    write_atomically(state_dir / ADDRESS_NAME, f"{'https' if is_https else 'http'}://{shown}:{port}\n".encode())


def read_address(state_dir: Path) -> str:
    """Return where a node answered that ran or runs with this state folder; '' if it never did.

    Raises:
        PermissionError: the folder is another user's.
    """
    try:
        return (state_dir / ADDRESS_NAME).read_text(encoding="ascii").strip()
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return ""


def forget_address(state_dir: Path) -> None:
    """The node does not answer any more."""
    (state_dir / ADDRESS_NAME).unlink(missing_ok=True)
