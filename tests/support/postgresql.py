"""A real PostgreSQL on a free port, in a folder of its own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.mosquitto import free_port

_FOLDERS = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
INITDB = shutil.which("initdb") or shutil.which("initdb", path=":".join(_FOLDERS))
USER = "postgres"


@contextmanager
def running_postgresql() -> Iterator[str]:
    """Start one and return the URL of an empty database; it is removed in the end.

    PostgreSQL refuses to run as root: root's tests run it as the user that its package makes.
    """
    assert INITDB is not None
    programs = Path(INITDB).resolve().parent
    as_user = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="earshot-pg-") as folder:
        if as_user:
            shutil.chown(folder, USER, USER)
        data, port = f"{folder}/data", free_port()
        options = ["--auth=trust", f"--username={USER}", "--no-sync", "--encoding=UTF8"]
        subprocess.run([*as_user, programs / "initdb", "-D", data, *options], check=True, capture_output=True, cwd="/")
        settings = f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off"
        control = [*as_user, str(programs / "pg_ctl"), "-D", data, "-w", "-l", f"{folder}/log"]
        subprocess.run([*control, "-o", settings, "start"], check=True, capture_output=True, cwd="/")
        try:
            yield f"postgresql://{USER}@127.0.0.1:{port}/postgres"
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd="/")
