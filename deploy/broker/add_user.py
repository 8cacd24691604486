#!/usr/bin/env python3
"""Give a user of the broker a new random password.

deploy/broker/add_user.py street                    prints the password once
deploy/broker/add_user.py street --to street.env    writes EARSHOT_MQTT_PASSWORD=... there instead, mode 0600

A node's user name is its id. `config/passwords` beside this script takes the hash, in mosquitto's format; a running
broker reads it again at SIGHUP, with the rights of its own user: a file that root writes keeps its owner and its
group's rights, and a new one gets the owner of its folder. Needs Python's standard library only.
"""

import argparse
import base64
import errno
import hashlib
import os
import re
import secrets
import stat
import sys
from pathlib import Path

ITERATIONS = 10_000
USER = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,38}[a-z0-9])?")


def password_entry(user: str, password: str, salt: bytes) -> str:
    """Return the line of mosquitto's password file: PBKDF2 with SHA-512."""
    digest = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, ITERATIONS)
    return f"{user}:$7${ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


def replace_entry(file: Path, user: str, entry: str) -> None:
    """Put `entry` into the password file instead of the user's old one; complete or not at all."""
    lines = file.read_text().splitlines() if file.exists() else []
    kept = [line for line in lines if not line.startswith(f"{user}:")]
    shared = stat.S_IMODE(file.stat().st_mode) & 0o060 if file.exists() else 0
    write_private(file, "\n".join([*kept, entry]) + "\n", mode=0o600 | shared)


def write_private(file: Path, text: str, *, mode: int = 0o600) -> None:
    """Write a file that only its owner reads; the owner stays, and what root makes anew gets the folder's.

    `mode` is for what root writes: a group that reads the file stays too.

    Raises PermissionError when the file belongs to somebody else and this is not root; the file is then as before.
    """
    like = (file if file.exists() else file.parent).stat()
    new = file.with_name(f".{file.name}.new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(text)
        if os.geteuid() == 0:
            os.fchown(stream.fileno(), like.st_uid, like.st_gid)
            os.fchmod(stream.fileno(), mode)
        elif file.exists() and like.st_uid != os.geteuid():
            new.unlink()
            raise PermissionError(errno.EPERM, "belongs to another user; try sudo", str(file))
    new.replace(file)


def main() -> int:
    """Run the command; 1 for a file that cannot be written, 2 for a name that can be no node's id."""
    parser = argparse.ArgumentParser(description="Give a user of the broker a new random password.")
    parser.add_argument("user", help="a node's id, or home_assistant")
    parser.add_argument("--to", type=Path, help="write EARSHOT_MQTT_PASSWORD to this file, mode 0600")
    parser.add_argument("--passwords", type=Path, default=Path(__file__).resolve().parent / "config" / "passwords")
    arguments = parser.parse_args()
    if not USER.fullmatch(arguments.user):
        parser.error(f"{arguments.user!r} is no valid id: use 1 to 40 of a-z, 0-9, '_' and '-', such as 'street'")
    password = secrets.token_urlsafe(24)
    entry = password_entry(arguments.user, password, secrets.token_bytes(12))
    try:
        replace_entry(arguments.passwords, arguments.user, entry)
        if arguments.to:
            write_private(arguments.to, f"EARSHOT_MQTT_PASSWORD={password}\n")
    except OSError as error:
        sys.stderr.write(f"error: {error.filename}: {error.strerror}\n")
        return 1
    shown = f"password written to {arguments.to}" if arguments.to else password
    sys.stdout.write(f"{arguments.user}: {shown}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
