"""Accounts of nodes at a mosquitto: lines in its password file, made at joining and taken away at removal.

What an account may do is the broker's business: `deploy/broker/config/acl` holds every user to the topics of its own
name, so nothing has to be written there for a new node.
"""

import base64
import hashlib
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Final

from earshot_node.deployment.durable import flush_folder, locked
from earshot_node.errors import OperatorError, PeerError
from earshot_trainer.home.config import AccountsSection

ITERATIONS: Final = 10_000
RELOAD_WITHIN_S: Final = 30.0
_SALT_BYTES: Final = 12


class ReservedNameError(PeerError):
    """A node may not have this name: somebody else's account would become its own."""


class BrokerAccounts:
    """Does nothing where no password file is configured.

    Args:
        config: the file, and how the broker is made to read it again.
        lock: file that keeps two processes from changing it at once.
    """

    def __init__(self, config: AccountsSection, lock: Path) -> None:
        self._config = config
        self._lock = lock

    @property
    def are_made(self) -> bool:
        """Whether nodes get accounts."""
        return bool(self._config.passwords_file)

    def create(self, node: str, *, may_replace: bool) -> str:
        """Give a node an account with a new password, which is returned; '' where accounts are not made.

        Args:
            node: its id, which is the account's name.
            may_replace: it may have had one before.

        Raises:
            ReservedNameError: the name is not a node's.
            OperatorError: the file cannot be changed, or the broker does not read it again.
        """
        if not self.are_made:
            return ""
        if node in self._config.reserved:
            raise ReservedNameError(f"{node!r} is no node's name at the broker; use --node with another id")
        password = secrets.token_urlsafe(24)

        def change(lines: list[str]) -> list[str]:
            others = _without(lines, node)
            if len(others) < len(lines) and not may_replace:
                raise ReservedNameError(
                    f"the broker has an account {node!r} already; use --node with another id, or an invite made for it"
                )
            return [*others, _entry(node, password, secrets.token_bytes(_SALT_BYTES))]

        self._change(change)
        return password

    def remove(self, node: str) -> bool:
        """Take a node's account away; return whether there was one.

        Raises:
            OperatorError: the file cannot be changed, or the broker does not read it again.
        """
        if not self.are_made or node in self._config.reserved:
            return False
        return self._change(lambda lines: _without(lines, node))

    def _change(self, change: Callable[[list[str]], list[str]]) -> bool:
        """Change the lines and have the broker read them, or leave all as it was; return whether anything changed."""
        path = Path(self._config.passwords_file)
        try:
            with locked(self._lock):
                text = path.read_text(encoding="utf-8") if path.exists() else ""
                lines = text.splitlines()
                changed = change(list(lines))
                if changed == lines:
                    return False
                _replace(path, "\n".join(changed) + "\n")
                try:
                    self._reload()
                except OperatorError:
                    _replace(path, text)
                    raise
        except BlockingIOError as error:
            raise OperatorError("another node is joining; try again") from error
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not text"
            raise OperatorError(
                f"broker_accounts.passwords_file: {path}: {reason}; the trainer's user has to own it and its folder"
            ) from error
        return True

    def _reload(self) -> None:
        command = self._config.reload
        if not command:
            return
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=RELOAD_WITHIN_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise OperatorError(f"broker_accounts.reload: {command[0]} cannot be run: {error}") from error
        if done.returncode:
            reason = " ".join(done.stderr.split())[:200] or f"exit code {done.returncode}"
            raise OperatorError(f"broker_accounts.reload: {command[0]} fails: {reason}")


def _replace(path: Path, text: str) -> None:
    """Put a file in place of another with its mode and owner, at once and for good; a new one is its owner's alone."""
    like = path.stat() if path.exists() else None
    new = path.with_name(f".{path.name}.new")
    new.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            owner = like or path.parent.stat()
            if os.geteuid() == 0:
                os.fchown(stream.fileno(), owner.st_uid, owner.st_gid)
            elif like is not None:
                os.fchown(stream.fileno(), -1, like.st_gid)  # the broker reads it as a member of the group
            if like is not None:
                os.fchmod(stream.fileno(), like.st_mode & 0o660)
            os.fsync(stream.fileno())
        new.replace(path)
        flush_folder(path.parent)
    finally:
        new.unlink(missing_ok=True)


def _entry(user: str, password: str, salt: bytes) -> str:
    """Return a line of mosquitto's password file: PBKDF2 with SHA-512."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def _without(lines: list[str], user: str) -> list[str]:
    return [line for line in lines if not line.startswith(f"{user}:")]
