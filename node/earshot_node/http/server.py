"""The node's HTTP server: `/healthz` for anybody, all else with the token."""

import errno
import logging
import ssl
from collections.abc import Callable, Iterable
from typing import Final

from aiohttp import web

from earshot_node.contract.config import HttpSection
from earshot_node.errors import OperatorError
from earshot_node.http.health import HealthReport
from earshot_node.http.metrics import CONTENT_TYPE, Metrics
from earshot_node.http.token_gate import TokenGate

_LOG = logging.getLogger(__name__)
_MAX_BODY_BYTES: Final = 4096  # the few bodies are small JSON objects
_SILENT_CONNECTION_S: Final = 30.0  # no whole request in this time, and the connection is closed
_SHUTDOWN_S: Final = 1.0

HealthSource = Callable[[], HealthReport]


class HttpServer:
    """Answers while the loop that started it runs.

    Every path but `/healthz` asks for `Authorization: Bearer <token>` first (401), also one that does not exist (404).

    Args:
        config: address and port.
        token: '' lets nobody in.
        health: what `/healthz` says.
        metrics: what `/metrics` says.
        routes: further paths.
        trainer_token: lets the joined trainer collect recordings; '' for none.
        tls: speaks HTTPS; None for plain HTTP.
    """

    def __init__(
        self,
        config: HttpSection,
        token: str,
        health: HealthSource,
        metrics: Metrics,
        *,
        routes: Iterable[web.RouteDef] = (),
        trainer_token: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._config = config
        self._tls = tls
        self._gate = TokenGate(token, trainer_token)
        self._health = health
        self._metrics = metrics
        self._routes = tuple(routes)
        self._runner: web.AppRunner | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen; `port` then holds the port, also when 0 was configured.

        Raises:
            OperatorError: the address cannot be used.
        """
        app = web.Application(middlewares=[self._gate.middleware], client_max_size=_MAX_BODY_BYTES)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_routes(self._routes)
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_SHUTDOWN_S, keepalive_timeout=_SILENT_CONNECTION_S
        )
        await runner.setup()
        host, port = self._config.host, self._config.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=self._tls).start()
        except OSError as error:
            await runner.cleanup()
            reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise OperatorError(
                f"http: cannot listen on {host}:{port}: {reason}; set http.port or http.host"
            ) from error
        self._runner = runner
        self.port = runner.addresses[0][1]
        _LOG.info("HTTP on %s://%s:%d", "https" if self._tls else "http", host, self.port)

    def let_in(self, trainer_token: str) -> None:
        """See `TokenGate.let_in`."""
        self._gate.let_in(trainer_token)

    async def stop(self) -> None:
        """Close; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _healthz(self, request: web.Request) -> web.Response:
        report = self._health()
        body = report.encode(with_problems=self._gate.is_open_for(request))
        return web.Response(status=report.status_code, body=body, content_type="application/json")

    async def _show_metrics(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.render(), headers={"Content-Type": CONTENT_TYPE})
