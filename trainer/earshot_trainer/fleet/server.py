"""The trainer's HTTP server."""

import asyncio
import contextlib
import errno
import signal
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Final

import aiohttp
from aiohttp import web
from sqlalchemy import Engine

from earshot_node.errors import OperatorError
from earshot_trainer.catalogue.members import Members
from earshot_trainer.catalogue.releases import Release, Releases
from earshot_trainer.deploying.fleet_recorder import FleetRecorder
from earshot_trainer.deploying.models_api import ModelsApi
from earshot_trainer.fleet.join_api import JoinApi
from earshot_trainer.home.config import ServeSection
from earshot_trainer.home.folder import Home
from earshot_trainer.labelling.review_page import ReviewPage

MAX_BODY_BYTES: Final = 8192
SILENT_CONNECTION_S: Final = 30.0
_SHUTDOWN_S: Final = 1.0


class PortTakenError(OperatorError):
    """Somebody else listens there."""


class TrainerServer:
    """Answers nodes while the loop that started it runs.

    Args:
        home: whose configuration says where.
        engine: the catalogue.
        on_sent: told which node has fetched how much of a bundle, see `ModelsApi`.
    """

    def __init__(
        self, home: Home, engine: Engine, on_sent: Callable[[str, Release, float], None] = lambda *_: None
    ) -> None:
        self._config = home.config.serve
        members = Members(engine)
        self._routes = [
            *JoinApi(home, members).routes(),
            *ModelsApi(home, members, Releases(engine), on_sent).routes(),
            *ReviewPage(home, engine).routes(),
        ]
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
        app.router.add_routes(self._routes)
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
            failure = PortTakenError if error.errno == errno.EADDRINUSE else OperatorError
            raise failure(f"cannot listen on {host}:{port}: {reason}; set serve.port or serve.host") from error
        self._runner = runner
        self.address = f"{'https' if context else 'http'}://{host}:{runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Close; idempotent."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()


def serve(home: Home, engine: Engine, on_ready: Callable[[str], None]) -> None:
    """Answer until SIGINT or SIGTERM; `on_ready` is told the address."""
    asyncio.run(_serve(home, engine, on_ready))


async def _serve(home: Home, engine: Engine, on_ready: Callable[[str], None]) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = TrainerServer(home, engine)
    await server.start()
    on_ready(server.address)
    recording = asyncio.create_task(FleetRecorder(home, engine).run(), name="fleet recorder")
    try:
        await stop.wait()
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)
        await server.stop()


@contextlib.asynccontextmanager
async def serving(
    home: Home, engine: Engine, on_sent: Callable[[str, Release, float], None] = lambda *_: None
) -> AsyncIterator[bool]:
    """Make sure that nodes are answered meanwhile: by `trainer-cli serve`, or by this; yields whether it is this.

    Raises:
        OperatorError: something else has the port.
    """
    server = TrainerServer(home, engine, on_sent)
    try:
        await server.start()
    except PortTakenError:
        if not await _answers(home):
            raise
        yield False
        return
    try:
        yield True
    finally:
        await server.stop()


async def _answers(home: Home) -> bool:
    """Whether a trainer answers on the port that is this one's; who it is, nodes find out by its certificate."""
    serve = home.config.serve
    scheme = "https" if serve.certificate_file else "http"
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(serve.host, serve.host)  # noqa: S104 - asked, not bound
    timeout = aiohttp.ClientTimeout(total=5)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{scheme}://{host}:{serve.port}/healthz", ssl=False) as response,
        ):
            return response.status == 200 and (await response.json()).get("status") == "ok"
    except (aiohttp.ClientError, TimeoutError, ValueError, AttributeError):
        return False


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
