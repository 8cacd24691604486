"""The trainer's HTTP server."""

import asyncio
import errno
import signal
import ssl
from collections.abc import Callable
from typing import Final

from aiohttp import web

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.members import Members
from earshot_trainer.fleet.join_api import JoinApi
from earshot_trainer.home.config import ServeSection
from earshot_trainer.home.folder import Home

MAX_BODY_BYTES: Final = 8192
SILENT_CONNECTION_S: Final = 30.0
_SHUTDOWN_S: Final = 1.0


class TrainerServer:
    """Answers nodes while the loop that started it runs.

    Args:
        home: whose configuration says where.
        members: who may come in.
    """

    def __init__(self, home: Home, members: Members) -> None:
        self._config = home.config.serve
        self._api = JoinApi(home, members)
        self._runner: web.AppRunner | None = None
        self.address = ""

    async def start(self) -> None:
        """Listen; `address` then says where.

        Raises:
            OperatorError: the address or the certificate cannot be used.
        """
        context = _tls(self._config)
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/healthz", _healthz)
        app.router.add_routes(self._api.routes())
        runner = web.AppRunner(
            app, access_log=None, shutdown_timeout=_SHUTDOWN_S, keepalive_timeout=SILENT_CONNECTION_S
        )
        await runner.setup()
        host, port = self._config.host, self._config.port
        try:
            await web.TCPSite(runner, host, port, ssl_context=context).start()
        except OSError as error:
            await runner.cleanup()
            reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
            raise OperatorError(f"cannot listen on {host}:{port}: {reason}; set serve.port or serve.host") from error
        self._runner = runner
        self.address = f"{'https' if context else 'http'}://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def serve(home: Home, members: Members, on_ready: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; `on_ready` is told the address."""
    asyncio.run(_serve(home, members, on_ready))


async def _serve(home: Home, members: Members, on_ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = TrainerServer(home, members)
    await server.start()
    on_ready(server.address)
    try:
        await stop.wait()
    finally:
        await server.stop()


async def _healthz(_request: web.Request) -> web.Response:
    return web.json_response({"status": "ok"})


def _tls(config: ServeSection) -> ssl.SSLContext | None:
    if not config.certificate_file:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(config.certificate_file, config.key_file or None)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(
            f"serve.certificate_file: {config.certificate_file} cannot be used with its key: {error}"
        ) from error
    return context
