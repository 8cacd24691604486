"""Why a broker cannot be reached is said once, in one line, with what to try; the node goes on trying."""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from support.async_waiting import until
from support.certificates import Authority
from support.mosquitto import Mosquitto, free_port
from support.mqtt_subscriber import Subscriber

from earshot_node.contract.config import MqttSection
from earshot_node.contract.topics import Topic
from earshot_node.mqtt.client import BackOff, BrokerClient, LinkState
from earshot_node.mqtt.connection import Connection, Identity, Subscription
from earshot_node.mqtt.failure import ConnectError, explain_error

PASSWORD = "open sesame 4711"
# PBKDF2-SHA512 of PASSWORD, as `mosquitto_passwd -c` writes it
HALL = (
    "hall:$7$101$HXmFvHk3MIsKct7X$6M4KT9gB50xhSknAJ51ALUkLEkN5uqNascZhdRJoP"
    "UXRbUBaEPUmF7HNIdUMODfW3PoCLwCU9vMEb1eu/515tQ==\n"
)


def settings(port: int, **values: Any) -> MqttSection:
    return MqttSection.model_validate({"host": "127.0.0.1", "port": port, **values})


async def failure_of(config: MqttSection) -> str:
    with pytest.raises(ConnectError) as caught:
        await Connection.open(config, Identity("tester"), lambda _message: None)
    assert PASSWORD not in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@asynccontextmanager
async def client_on(config: MqttSection, **options: Any) -> AsyncIterator[BrokerClient]:
    client = BrokerClient(
        config,
        Identity("tester"),
        on_connected=lambda: None,
        on_disconnected=lambda: None,
        on_message=lambda _message: None,
        back_off=BackOff(0.01, 0.05),
        **options,
    )
    client.start()
    try:
        yield client
    finally:
        await client.stop()


def protected_broker(folder: Path, *lines: str) -> Mosquitto:
    """A mosquitto that knows the user `hall` with `PASSWORD`."""
    passwords = folder / "passwords"
    passwords.write_text(HALL)
    passwords.chmod(0o600)
    return Mosquitto(folder, anonymous=False, extra="\n".join((f"password_file {passwords}", *lines)))


@contextmanager
def tls_broker(folder: Path, *lines: str, address: str = "127.0.0.1") -> Iterator[tuple[Mosquitto, Authority]]:
    """A mosquitto that speaks TLS only, with a certificate for `address`."""
    authority = Authority(folder)
    certificate, key = authority.issue("broker", address=address)
    files = (f"cafile {authority.certificate}", f"certfile {certificate}", f"keyfile {key}")
    with Mosquitto(folder, extra="\n".join((*files, *lines))) as broker:
        yield broker, authority


async def test_refused_connection_is_told() -> None:
    port = free_port()
    reason = await failure_of(settings(port))
    assert reason.startswith(f"connection to 127.0.0.1:{port} refused")
    assert "is the broker running" in reason


async def test_unknown_host_is_told() -> None:
    reason = await failure_of(settings(1883, host="broker.invalid"))
    assert "'broker.invalid' not found" in reason
    assert "mqtt.host" in reason


async def test_host_that_is_no_name_is_told() -> None:
    assert "is not a host name" in await failure_of(settings(1883, host="a" * 70 + "..b"))


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer"),
        (OSError(errno.EHOSTUNREACH, "No route to host"), "no route"),
        (ConnectionResetError(errno.ECONNRESET, "Connection reset by peer"), "closed the connection"),
        (OSError(errno.EMFILE, "Too many open files"), "Too many open files"),
        (ssl.SSLError("WRONG_VERSION_NUMBER"), "8883"),
        (socket.gaierror(-2, "Name or service not known"), "not found"),
    ],
)
def test_error_of_the_network_names_broker_and_cure(error: OSError, words: str) -> None:
    reason = explain_error(settings(1883), error)
    assert words in reason
    assert "127.0.0.1" in reason
    assert "\n" not in reason


async def test_server_that_hangs_up_is_told() -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        reason = await failure_of(settings(server.sockets[0].getsockname()[1]))
    assert "closed the connection before it answered" in reason
    assert "mqtt.tls" in reason


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x20\xff\xff\xff\xff\xff", b"\x20\x03\x00", b"\0" * 99]
)
async def test_server_that_does_not_speak_mqtt_is_survived(answer: bytes) -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        assert await failure_of(settings(server.sockets[0].getsockname()[1]))


@pytest.mark.parametrize("file", ["ca_file", "cert_file"])
async def test_missing_certificate_file_is_told(tmp_path: Path, file: str) -> None:
    path = str(tmp_path / "missing.pem")
    tls = {file: path} | ({"key_file": path} if file == "cert_file" else {})
    reason = await failure_of(settings(free_port(), tls=tls))
    assert f"mqtt.tls.{file} {path}" in reason
    assert "No such file" in reason


async def test_file_that_is_no_certificate_is_told(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("hello")
    reason = await failure_of(settings(free_port(), tls={"ca_file": str(tmp_path / "ca.pem")}))
    assert "not a usable PEM file" in reason


async def test_missing_password_file_is_told(tmp_path: Path) -> None:
    reason = await failure_of(settings(free_port(), username="hall", password_file=str(tmp_path / "none")))
    assert f"mqtt.password_file {tmp_path / 'none'}: No such file" in reason


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_wrong_password_is_told_without_the_password(tmp_path: Path, protocol: str) -> None:
    with protected_broker(tmp_path) as broker:
        reason = await failure_of(
            settings(broker.port, username="hall", password="wrong" + PASSWORD, protocol=protocol)
        )
        assert "refused user 'hall': bad user name or password" in reason
        reason = await failure_of(settings(broker.port, protocol=protocol))
        assert "wants a user name and password" in reason


@pytest.mark.mosquitto
@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
async def test_password_from_a_file_lets_in(tmp_path: Path, protocol: str) -> None:
    (tmp_path / "password").write_text(PASSWORD + "\n")
    with protected_broker(tmp_path) as broker:
        config = settings(broker.port, username="hall", password_file=str(tmp_path / "password"), protocol=protocol)
        async with client_on(config) as client:
            await until(lambda: client.connected)


@pytest.mark.mosquitto
async def test_tls_with_the_right_authority_connects_and_a_foreign_one_is_told(tmp_path: Path) -> None:
    with tls_broker(tmp_path) as (broker, authority):
        async with client_on(settings(broker.port, tls={"ca_file": str(authority.certificate)})) as client:
            await until(lambda: client.connected)
        stranger = Authority(tmp_path, "stranger")
        reason = await failure_of(settings(broker.port, tls={"ca_file": str(stranger.certificate)}))
        assert "TLS verification" in reason
        assert "mqtt.tls.ca_file" in reason
        assert "TLS verification" in await failure_of(settings(broker.port, tls={}))


@pytest.mark.mosquitto
async def test_certificate_of_another_host_is_told(tmp_path: Path) -> None:
    with tls_broker(tmp_path, address="127.0.0.2") as (broker, authority):
        reason = await failure_of(settings(broker.port, tls={"ca_file": str(authority.certificate)}))
        assert "mqtt.host to the name in its certificate" in reason


@pytest.mark.mosquitto
async def test_plain_connection_to_a_tls_port_is_told(tmp_path: Path) -> None:
    with tls_broker(tmp_path) as (broker, _):
        assert "mqtt.tls" in await failure_of(settings(broker.port))


@pytest.mark.mosquitto
async def test_tls_to_a_plain_port_is_told(broker: Mosquitto) -> None:
    reason = await failure_of(settings(broker.port, tls={}))
    assert "8883" in reason or "MQTT over TLS" in reason


@pytest.mark.mosquitto
async def test_client_certificate_is_used_and_its_absence_told(tmp_path: Path) -> None:
    with tls_broker(tmp_path, "require_certificate true", "use_identity_as_username true") as (broker, authority):
        certificate, key = authority.issue("hall")
        files = {"ca_file": str(authority.certificate), "cert_file": str(certificate), "key_file": str(key)}
        async with client_on(settings(broker.port, tls=files)) as client:
            await until(lambda: client.connected)
        reason = await failure_of(settings(broker.port, tls={"ca_file": str(authority.certificate)}))
        assert "mqtt.tls.cert_file" in reason
        _, other_key = authority.issue("other")
        reason = await failure_of(settings(broker.port, tls=files | {"key_file": str(other_key)}))
        assert "mqtt.tls.cert_file" in reason


@pytest.mark.mosquitto
async def test_first_failure_warns_repeats_do_not_and_recovery_is_told(
    own_broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    own_broker.stop()
    caplog.set_level(logging.DEBUG, "earshot_node.mqtt.client")

    def lines(level: int) -> list[str]:
        return [r.getMessage() for r in caplog.records if r.levelno == level and r.name == "earshot_node.mqtt.client"]

    async with client_on(settings(own_broker.port)) as client:
        await until(lambda: len(lines(logging.DEBUG)) >= 3)
        assert client.state in {LinkState.WAITING, LinkState.CONNECTING}
        assert "refused" in client.problem
        assert len(lines(logging.WARNING)) == 1
        own_broker.start()
        await until(lambda: client.connected)
        assert client.problem == ""
        assert len(lines(logging.INFO)) == 1
        own_broker.kill()
        await until(lambda: len(lines(logging.WARNING)) >= 2)
        assert lines(logging.WARNING)[1].startswith("MQTT: lost the connection")
    assert client.state is LinkState.STOPPED


@pytest.mark.mosquitto
async def test_second_client_with_the_same_id_is_named_as_the_cause(
    broker: Mosquitto, caplog: pytest.LogCaptureFixture
) -> None:
    async with client_on(settings(broker.port)) as first:
        await until(lambda: first.connected)
        other = await Connection.open(settings(broker.port), Identity("tester"), lambda _message: None)
        await until(lambda: "another client may use the same node.id" in caplog.text)
        await other.close()


async def test_broker_that_says_why_it_disconnects_is_quoted() -> None:
    async def take_over(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"\x20\x03\x00\x00\x00" + b"\xe0\x01\x8e")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(take_over, "127.0.0.1", 0) as server:
        config = settings(server.sockets[0].getsockname()[1])
        connection = await Connection.open(config, Identity("tester"), lambda _message: None)
        assert "another client with the same id" in await connection.closed


@pytest.mark.mosquitto
async def test_messages_over_tls_arrive_in_a_burst(tmp_path: Path) -> None:
    """Decrypted bytes that wait inside TLS are read too."""
    with tls_broker(tmp_path) as (broker, authority):
        received: list[bytes] = []
        config = settings(broker.port, tls={"ca_file": str(authority.certificate)})
        connection = await Connection.open(config, Identity("tester"), lambda m: received.append(m.payload))
        assert await connection.subscribe([Subscription("burst")]) == []
        for number in range(300):
            connection.publish(Topic("burst", 1, retain=False), str(number).encode() * 50)
        await until(lambda: len(received) == 300)
        assert received == [str(number).encode() * 50 for number in range(300)]
        await connection.close()


@pytest.mark.mosquitto
async def test_large_message_that_fills_the_socket_is_sent_whole(broker: Mosquitto) -> None:
    payload = bytes(range(256)) * 40_000
    with Subscriber(broker.port, "large") as subscriber:
        connection = await Connection.open(settings(broker.port), Identity("large"), lambda _message: None)
        connection.publish(Topic("large", 1, retain=False), payload)
        await until(lambda: subscriber.messages)
        assert subscriber.messages[0].payload == payload
        await connection.close()


async def test_stop_while_connecting_does_not_wait() -> None:
    async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    loop = asyncio.get_running_loop()
    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        began_s = loop.time()
        async with client_on(settings(server.sockets[0].getsockname()[1])) as client:
            await until(lambda: client.state is LinkState.CONNECTING)
        assert loop.time() - began_s < 2
        server.close()


def test_back_off_doubles_to_its_cap_with_jitter_and_starts_again() -> None:
    back_off = BackOff(1.0, 8.0)
    delays_s = [back_off.next_s() for _ in range(6)]
    for delay_s, most_s in zip(delays_s, [1, 2, 4, 8, 8, 8], strict=True):
        assert most_s / 2 <= delay_s <= most_s
    back_off.reset()
    assert back_off.next_s() <= 1.0
    assert len({BackOff(1.0, 8.0).next_s() for _ in range(5)}) > 1
