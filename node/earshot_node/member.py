"""The running node as a member of a trainer's fleet: takes up a membership that changes, says where it answers."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import NodeInfo
from earshot_node.contract.node_address import NodeAddress, address_proof
from earshot_node.deployment.membership import MEMBERSHIP_NAME, load_membership
from earshot_node.deployment.models import Models
from earshot_node.http.reachable import reachable_url

if TYPE_CHECKING:
    from earshot_node.http.node_server import NodeServer

_log = logging.getLogger(__name__)

LOOK_FOR_ADDRESS_EVERY_S: Final = 60


class Member:
    """Lives in the event loop; `tick` it every second.

    Args:
        config: where its HTTP is.
        state_dir: where joining leaves its file.
        models: trusts the trainer's key.
        on_change: called in the loop when `described` says something else.
    """

    def __init__(self, config: NodeConfig, state_dir: Path, models: Models, on_change: Callable[[], None]) -> None:
        self._config = config
        self._state_dir = state_dir
        self._models = models
        self._on_change = on_change
        self._server: NodeServer | None = None
        self._membership = load_membership(state_dir)
        self._stamp = self._look()
        self._url = ""
        self._ticks = 0
        self._searching: asyncio.Task[None] | None = None

    def serve(self, server: "NodeServer | None") -> None:
        """The node's HTTP answers from now on."""
        self._server = server
        self._search()

    def tick(self) -> None:
        """Look whether the node has joined, left, or moved."""
        self._ticks += 1
        if (stamp := self._look()) != self._stamp:
            self._stamp = stamp
            self._take_up()
            self._on_change()
            self._search()
        elif self._ticks % LOOK_FOR_ADDRESS_EVERY_S == 0:
            self._search()

    def described(self, info: NodeInfo) -> NodeInfo:
        """Return `info` with the node's address, if it has joined and can be reached."""
        if not self._url or self._membership is None or self._server is None:
            return info
        certificate = self._server.certificate_sha256
        token = self._membership.token.get_secret_value()
        proof = address_proof(token, info.node, self._url, certificate)
        return info.model_copy(update={"http": NodeAddress(url=self._url, certificate=certificate, proof=proof)})

    def _take_up(self) -> None:
        self._membership = load_membership(self._state_dir)
        self._models.use_membership()
        token = self._membership.token.get_secret_value() if self._membership is not None else ""
        if self._server is not None:
            self._server.let_in(token)
        if self._membership is not None:
            _log.info("joined %s; its models are trusted from now on", self._membership.url)
        else:
            _log.info("no trainer's node any more")

    def _search(self) -> None:
        """Look for the address beside the loop: a name server that does not answer holds nothing up."""
        if self._searching is not None:
            self._searching.cancel()
        self._searching = asyncio.create_task(self._find_address(), name="own address")

    async def _find_address(self) -> None:
        server, membership = self._server, self._membership
        url = ""
        if server is not None and membership is not None:
            url = await asyncio.to_thread(reachable_url, self._config.http, server.port, membership.url)
        if url != self._url:
            self._url = url
            self._on_change()

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = (self._state_dir / MEMBERSHIP_NAME).stat()
        except OSError:
            return None
        return (found.st_ino, found.st_mtime_ns, found.st_size)
