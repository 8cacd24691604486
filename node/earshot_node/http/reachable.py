"""Under which address the trainer reaches this node's HTTP."""

import socket
from typing import Final
from urllib.parse import urlsplit

from earshot_node.contract.config import HttpSection

_ANY: Final = {"0.0.0.0", "::", ""}  # noqa: S104 - what is configured, not bound
_LOOPBACK: Final = ("127.", "::1", "localhost")


def reachable_url(config: HttpSection, port: int, trainer_url: str) -> str:
    """Return the address, '' if the trainer cannot reach it. Blocks for as long as a name's look-up takes.

    Where the node listens on every address, it is the one from which packets to the trainer leave; none is sent.

    Args:
        config: where the node listens; `announce` overrides everything.
        port: that it listens on.
        trainer_url: of the trainer that it has joined.
    """
    if config.announce:
        return config.announce.rstrip("/")
    way = _way_to(trainer_url)
    host = way if config.host in _ANY else config.host
    if not way or (host.startswith(_LOOPBACK) and not way.startswith(_LOOPBACK)):
        return ""
    scheme = "https" if config.speaks_https else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(url: str) -> bool:
    """Whether an address is one that this machine alone reaches."""
    return (urlsplit(url).hostname or "").startswith(_LOOPBACK)


def _way_to(url: str) -> str:
    """Return the address of this machine that leads there; '' if there is no way."""
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
        family, kind, protocol, _, address = socket.getaddrinfo(parts.hostname, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            found = str(probe.getsockname()[0])
    except (OSError, ValueError):
        return ""
    return "" if "%" in found else found  # a link-local address means nothing elsewhere
