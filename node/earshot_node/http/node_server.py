"""The node's HTTP server with all its paths; imported beside the loop, because aiohttp takes its time."""

import asyncio
import logging
from pathlib import Path

from earshot_node.contract.config import HttpSection
from earshot_node.deployment.membership import load_membership
from earshot_node.deployment.models import Models
from earshot_node.http.address import forget_address, keep_address
from earshot_node.http.candidates_api import CandidatesApi
from earshot_node.http.certificate import certificate_of, show
from earshot_node.http.clip_links import ClipLinks, household_url
from earshot_node.http.metrics import Metrics
from earshot_node.http.models_api import ModelsApi
from earshot_node.http.recordings_api import RecordingsApi
from earshot_node.http.server import HealthSource, HttpServer
from earshot_node.http.takes_api import TakesApi
from earshot_node.http.token import load_or_create_token
from earshot_node.recordings.candidates import Candidates
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.transfer_log import TransferLog

_log = logging.getLogger(__name__)


class NodeServer:
    """Health, metrics and recordings of one node.

    Attributes:
        certificate_sha256: what its HTTPS shows; '' for plain HTTP.

    Args:
        config: address, port and token.
        state_dir: existing folder for token and address.
        health: what `/healthz` says.
        metrics: what `/metrics` says.
        recordings: what is handed out and recorded.
        models: what is installed; None: nothing can be.
        candidates: what is kept unasked; None: nobody can follow it.
    """

    def __init__(
        self,
        config: HttpSection,
        state_dir: Path,
        health: HealthSource,
        metrics: Metrics,
        recordings: RecordingService,
        models: Models | None = None,
        candidates: Candidates | None = None,
    ) -> None:
        self._config = config
        self._state_dir = state_dir
        token = load_or_create_token(state_dir, config.token.get_secret_value())
        transfers = TransferLog(recordings.store.folder)
        routes = [*RecordingsApi(recordings, transfers).routes(), *TakesApi(recordings).routes()]
        self._node = recordings.config
        self._links = ClipLinks(recordings, transfers, token) if self._node.clips.links else None
        if self._links is not None:
            routes += self._links.routes()
        if models is not None:
            routes += ModelsApi(models).routes()
        if candidates is not None:
            routes += CandidatesApi(candidates).routes()
        trainer = load_membership(state_dir)
        trainer_token = trainer.token.get_secret_value() if trainer is not None else ""
        self._certificate = certificate = certificate_of(config, state_dir)
        self.certificate_sha256 = certificate.sha256 if certificate is not None else ""
        tls = certificate.server_context() if certificate is not None else None
        self._server = HttpServer(config, token, health, metrics, routes=routes, trainer_token=trainer_token, tls=tls)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def start(self) -> None:
        """Listen, and write down where.

        Raises:
            OperatorError: the address cannot be used.
        """
        await self._server.start()
        await self.look_for_address()
        if self._links is not None and not self._links.base:
            _log.warning(
                "clips.links: it is not known yet how phones reach this node; if it stays so, set http.announce"
            )
        try:
            show(self._certificate, self._state_dir)
            keep_address(self._state_dir, self._config.host, self._server.port, is_https=self._certificate is not None)
        except OSError as error:
            _log.warning("http: the address cannot be written down, so node-cli record will not find it: %s", error)

    async def look_for_address(self) -> None:
        """Find out by which address phones at home reach this node: a network may come late, or give another one."""
        if self._links is not None:
            url = await asyncio.to_thread(household_url, self._config, self._server.port, self._node.mqtt)
            self._links.base = url or self._links.base

    def clip_url(self, event_id: str) -> str | None:
        """Return a link to the clip of an event, None where there are no links."""
        return self._links.url(event_id) if self._links is not None else None

    def let_in(self, trainer_token: str) -> None:
        """The trainer's token from now on; '' for none."""
        self._server.let_in(trainer_token)

    async def stop(self) -> None:
        """Close; idempotent."""
        forget_address(self._state_dir)
        await self._server.stop()
