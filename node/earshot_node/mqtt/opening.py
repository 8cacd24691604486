"""Opens the socket of an MQTT connection beside the loop: name look-up, TCP and TLS may each take long."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any, Final, TypeVar

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion, LogLevel, MQTTProtocolVersion

from earshot_node.contract.config import MqttSection
from earshot_node.contract.topics import Topic
from earshot_node.mqtt import failure
from earshot_node.mqtt.failure import ConnectError

T = TypeVar("T")
Will = tuple[Topic, bytes]

CONNECT_TIMEOUT_S: Final = 5.0


async def open_client(config: MqttSection, client_id: str, will: Will | None) -> paho.Client:
    """Return a client whose socket is open (TLS included) and whose CONNECT is on the way.

    Raises:
        ConnectError: the reason in one line.
    """
    return await _in_daemon_thread(lambda: _connect(config, client_id, will), close_socket)


def close_socket(client: paho.Client, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Close a client's socket and, if it was there, take it out of `loop`; idempotent."""
    sock: Any = client.socket()
    if sock is None or sock.fileno() < 0:
        return
    client.on_socket_register_write = client.on_socket_unregister_write = client.on_socket_close = None
    if loop is not None:
        loop.remove_reader(sock)
        loop.remove_writer(sock)
    sock.close()


def _connect(config: MqttSection, client_id: str, will: Will | None) -> paho.Client:
    client = paho.Client(
        CallbackAPIVersion.VERSION2,
        client_id=client_id,
        protocol=MQTTProtocolVersion.MQTTv5 if config.protocol == "5" else MQTTProtocolVersion.MQTTv311,
        reconnect_on_failure=False,
    )
    client.connect_timeout = CONNECT_TIMEOUT_S
    if config.username:
        client.username_pw_set(config.username, failure.read_password(config))
    if will is not None:
        topic, payload = will
        client.will_set(topic.name, payload, topic.qos, topic.retain)
    context = failure.load_tls(config)
    if context is not None:
        client.tls_set_context(context)
    clean: dict[str, Any] = {"clean_start": True} if config.protocol == "5" else {}
    errors: list[str] = []
    client.on_log = lambda _client, _data, level, text: errors.append(text) if level == LogLevel.MQTT_LOG_ERR else None
    try:
        client.connect(config.host, config.effective_port, config.keepalive_s, **clean)
    except OSError as error:
        raise ConnectError(failure.explain_error(config, error)) from error
    except ValueError as error:
        raise ConnectError(f"mqtt.host {config.host!r} is not a host name ({error})") from error
    sock: Any = client.socket()
    if sock is None:
        raise ConnectError(failure.closed_early(config, errors[-1] if errors else ""))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def _in_daemon_thread(work: Callable[[], T], discard: Callable[[T], None]) -> asyncio.Future[T]:
    """Run `work` in a thread that does not delay a stop; `discard` takes a result that nobody waits for any more."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()

    def succeed(result: T) -> None:
        if future.done():
            discard(result)
        else:
            future.set_result(result)

    def fail(error: Exception) -> None:
        if not future.done():
            future.set_exception(error)

    def run() -> None:
        with contextlib.suppress(RuntimeError):  # the loop has closed meanwhile
            try:
                result = work()
            except Exception as error:  # noqa: BLE001 - top of a thread
                loop.call_soon_threadsafe(fail, error)
            else:
                loop.call_soon_threadsafe(succeed, result)

    threading.Thread(target=run, name="mqtt-connect", daemon=True).start()
    return future
