"""Keeps the node's HTTP up: begins when the node already listens, tries again where its address is not there yet."""

import asyncio
import logging
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final

from earshot_node.contract.config import HttpSection
from earshot_node.deployment.models import Models
from earshot_node.errors import OperatorError
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import Metrics
from earshot_node.recordings.candidates import Candidates
from earshot_node.recordings.service import RecordingService

if TYPE_CHECKING:
    from earshot_node.http.node_server import NodeServer

_log = logging.getLogger(__name__)

TRY_AGAIN_AFTER_S: Final = 30.0
LOOK_FOR_ADDRESS_EVERY_S: Final = 60.0


class Serving:
    """Lives in the event loop; `run` it beside the rest, `stop` it last.

    Args:
        config: address, port and token.
        state_dir: existing folder for token and address.
        health: what `/healthz` says.
        metrics: what `/metrics` says.
        recordings: what is handed out and recorded.
        models: what is installed; None: nothing can be.
        candidates: what is kept unasked; None: nobody can follow it.
        on_server: called in the loop once it answers.

    Attributes:
        problem: why it does not answer, '' if it does or is not wanted.
    """

    def __init__(
        self,
        config: HttpSection,
        state_dir: Path,
        health: Callable[[], HealthReport],
        metrics: Metrics,
        recordings: RecordingService,
        models: Models | None,
        candidates: Candidates | None,
        *,
        on_server: Callable[["NodeServer"], None],
    ) -> None:
        self._config = config
        self._parts = (state_dir, health, metrics, recordings, models, candidates)
        self._on_server = on_server
        self._server: NodeServer | None = None
        self.problem = ""

    def clip_url(self, event_id: str) -> str | None:
        """Return a link to the clip of an event, None where there are no links or nobody answers them."""
        return self._server.clip_url(event_id) if self._server is not None else None

    async def run(self) -> None:
        """Begin to answer, as soon as that can be, and look from time to time by which address; for ever."""
        while self._config.enabled and self._server is None:
            try:
                self._server = await self._begin()
            except OperatorError as error:
                # A node that listens is worth more than one that can be asked how it is.
                if not self.problem:
                    _log.warning("%s; going on without HTTP, trying again every %.0f s", error, TRY_AGAIN_AFTER_S)
                self.problem = str(error)
                await asyncio.sleep(TRY_AGAIN_AFTER_S)
        while self._server is not None:
            await asyncio.sleep(LOOK_FOR_ADDRESS_EVERY_S)
            await self._server.look_for_address()

    async def stop(self) -> None:
        """Close; idempotent."""
        if self._server is not None:
            await self._server.stop()

    async def _begin(self) -> "NodeServer":
        # Imported beside the loop: aiohttp is a third of all that a start has to read.
        module = await asyncio.to_thread(import_module, "earshot_node.http.node_server")
        server: NodeServer = module.NodeServer(self._config, *self._parts)
        await server.start()
        self.problem = ""
        self._on_server(server)
        return server
