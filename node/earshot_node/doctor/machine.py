"""Clock, disk and HTTP port of this machine."""

import ctypes
import errno
import http.client
import json
import os
import shutil
import socket
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from earshot_node.contract.config import ClipsSection, HttpSection
from earshot_node.doctor.finding import Finding, fail, ok, warn

_EARLIEST_YEAR: Final = 2026
_TIME_ERROR: Final = 5  # adjtimex(2): the clock is not synchronized
_LOW_DISK_MB: Final = 100.0
_PROBE_TIMEOUT_S: Final = 2.0


def check_clock(now: datetime | None = None, synchronized: bool | None = None) -> Finding:
    """Is the wall clock right? Events carry its time; the arguments replace what the system says."""
    year = (now or datetime.now(UTC)).year
    if year < _EARLIEST_YEAR:
        return fail(
            "clock",
            f"the year is {year}; events would carry wrong times, and TLS certificates would not be valid yet",
            "connect the machine to a network with a time server, then `timedatectl set-ntp true`",
        )
    if synchronized if synchronized is not None else _is_synchronized():
        return ok("clock", "set and synchronized")
    return warn(
        "clock",
        "not synchronized with a time server; event times may drift",
        "`sudo timedatectl set-ntp true`, or install chrony",
    )


def check_state_folder(folder: Path, clips: ClipsSection) -> list[Finding]:
    """Can the node keep its queue, settings and clips?"""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as probe:
            probe.write(b"earshot")
            probe.flush()
            os.fsync(probe.fileno())
    except OSError as error:
        owner = f"sudo chown -R $(id -un) {folder}"
        return [
            fail(
                "state folder",
                f"{folder} cannot be written ({error.strerror})",
                f"set node.state_dir to a folder of the user who runs the node, or `{owner}`",
            )
        ]
    findings = [ok("state folder", f"{folder} can be written")]
    places = {folder: _LOW_DISK_MB}
    if clips.store == "disk":
        clips_folder = Path(clips.dir) if clips.dir else folder
        places[clips_folder if clips_folder.exists() else folder] = max(_LOW_DISK_MB, clips.free_floor_mb)
    return findings + [_check_disk(place, floor_mb) for place, floor_mb in places.items()]


def check_http(config: HttpSection) -> Finding:
    """Is the port free, or is it a node that answers there?"""
    where = f"{config.host}:{config.port}"
    if not config.enabled:
        return ok("http", "switched off")
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((config.host, config.port))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            state = running_node_state(config)
            if state:
                return ok("http", f"a node runs and answers on {where}: {state}")
            return fail("http", f"port {config.port} is used by another program", "set http.port to a free one")
        if error.errno == errno.EACCES:
            return fail("http", f"port {config.port} needs root", "set http.port to 1024 or more")
        return fail("http", f"cannot listen on {where} ({error.strerror})", "set http.host to 127.0.0.1 or 0.0.0.0")
    return ok("http", f"{where} is free")


def _is_synchronized() -> bool:
    """Ask the kernel, which knows also when no time daemon can be asked (a container)."""
    try:
        return bool(ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(512)) != _TIME_ERROR)
    except AttributeError:
        return True  # not Linux: there is no such call


def _check_disk(folder: Path, floor_mb: float) -> Finding:
    free_mb = shutil.disk_usage(folder).free / 1e6
    if free_mb < floor_mb:
        return warn(
            "disk",
            f"{free_mb:.0f} MB free at {folder}, {floor_mb:.0f} MB are kept free: nothing more is written there",
            "free some space, or lower clips.free_floor_mb",
        )
    return ok("disk", f"{free_mb / 1000:.1f} GB free at {folder}")


def running_node_state(config: HttpSection) -> str:
    """Return the health state that a node on this address tells, empty when none answers."""
    if not config.enabled or not config.port:
        return ""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(config.host, config.host)  # noqa: S104
    if config.speaks_https:
        # Only asked how it is: nothing is sent that a stranger should not see.
        unchecked = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, config.port, timeout=_PROBE_TIMEOUT_S, context=unchecked
        )
    else:
        connection = http.client.HTTPConnection(host, config.port, timeout=_PROBE_TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        answer = json.loads(connection.getresponse().read(65_536))
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    finally:
        connection.close()
    return str(answer.get("state", "")) if isinstance(answer, dict) and "model" in answer else ""
