"""An MQTT broker inside this process, for the demo: no installation, this machine only, gone with the process."""

import asyncio
import logging
import socket
import threading
from concurrent.futures import Future
from types import TracebackType
from typing import Any, Final, Self

from earshot_node.errors import OperatorError

HOST: Final = "127.0.0.1"
_START_TIMEOUT_S: Final = 20.0
_STOP_TIMEOUT_S: Final = 5.0


class EmbeddedBroker:
    """Runs in a thread while the context lasts; `port` is a free one.

    Raises:
        OperatorError: the extra `demo` is not installed, or the broker does not start.
    """

    def __init__(self) -> None:
        self.port = _free_port()
        self._ready: Future[asyncio.AbstractEventLoop] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="broker", daemon=True)

    def __enter__(self) -> Self:
        """Start and wait until it takes connections."""
        self._thread.start()
        try:
            self._loop = self._ready.result(_START_TIMEOUT_S)
        except ImportError as error:
            raise OperatorError("the embedded broker is missing; in the checkout `pip install '.[demo]'`") from error
        except TimeoutError as error:
            raise OperatorError("the embedded broker does not start; is this machine very busy?") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; a broker that hangs does not keep the program."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STOP_TIMEOUT_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except Exception as error:  # noqa: BLE001 - the top of a thread; whoever waits is told
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        for name in ("amqtt", "transitions"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        from amqtt.broker import Broker

        broker = Broker(_configuration(self.port))
        await broker.start()
        self._ready.set_result(asyncio.get_running_loop())
        await self._stop.wait()
        await broker.shutdown()


def _configuration(port: int) -> dict[str, Any]:
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"{HOST}:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
