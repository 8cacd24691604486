"""Why a broker cannot be reached, in one line for a person: what, where, what to try. Never with a password."""

import errno
import socket
import ssl
from pathlib import Path

from paho.mqtt.reasoncodes import ReasonCode

from earshot_node.contract.config import MqttSection
from earshot_node.errors import RetryError

_NOT_AUTHORIZED = 0x87
_BAD_CREDENTIALS = 0x86
_WRONG_PROTOCOL = 0x84
_BAD_CLIENT_ID = 0x85
_BUSY = (0x88, 0x89, 0x97, 0x9F)
_TAKEN_OVER = 0x8E


class ConnectError(RetryError):
    """The broker could not be reached or did not let the node in; it may later."""


class TlsFileError(ConnectError):
    """A certificate or key file cannot be used."""


def where(config: MqttSection) -> str:
    """Return the broker's address as people write it."""
    return f"{config.host}:{config.effective_port}"


def explain_error(config: MqttSection, error: OSError) -> str:
    """Return what an error of the network or of TLS means."""
    broker = where(config)
    match error:
        case ssl.SSLCertVerificationError():
            return (
                f"TLS verification of {broker} failed ({error.verify_message}); "
                "set mqtt.tls.ca_file to the broker's CA and mqtt.host to the name in its certificate"
            )
        case ssl.SSLError():
            detail = getattr(error, "reason", None) or error
            return f"TLS with {broker} failed ({detail}); is it the broker's TLS port (usually 8883)?"
        case socket.gaierror():
            return f"host {config.host!r} not found ({error.strerror}); check mqtt.host and the network's DNS"
        case ConnectionRefusedError():
            return f"connection to {broker} refused: nothing listens there; is the broker running, is mqtt.port right?"
        case TimeoutError():
            return f"no answer from {broker}; check mqtt.host, the network and firewalls"
        case ConnectionError():
            return closed_early(config, error.strerror or "")
        case OSError(errno=errno.EHOSTUNREACH | errno.ENETUNREACH):
            return f"no route to {broker} ({error.strerror}); check mqtt.host and the network"
        case _:
            return f"connection to {broker} failed ({error.strerror or error}); check mqtt.host and mqtt.port"


def no_answer(config: MqttSection) -> str:
    """Return what it means that the broker takes the connection and then says nothing."""
    if config.tls is None:
        advice = "is it the TLS port (section mqtt.tls), or does it speak MQTT 3.1.1 only (mqtt.protocol: '3.1.1')?"
    else:
        advice = "is it the port for MQTT over TLS?"
    return f"{where(config)} took the connection but does not answer; {advice}"


def closed_early(config: MqttSection, detail: str) -> str:
    """Return what it means that the broker closes before it answered the CONNECT."""
    broker = where(config)
    if "CERTIFICATE_REQUIRED" in detail or "certificate required" in detail:
        return f"{broker} demands a client certificate; set mqtt.tls.cert_file and mqtt.tls.key_file"
    if config.tls is None:
        advice = "if it is a TLS port, add the section mqtt.tls; an old broker may need mqtt.protocol: '3.1.1'"
    else:
        advice = "check mqtt.tls.cert_file, and that the port is the one for MQTT over TLS"
    return f"{broker} closed the connection before it answered{f' ({detail})' if detail else ''}; {advice}"


def explain_refusal(config: MqttSection, code: ReasonCode) -> str:
    """Return what the broker's answer to CONNECT means."""
    broker = where(config)
    if code.value in {_NOT_AUTHORIZED, _BAD_CREDENTIALS}:
        if not config.username:
            return f"{broker} wants a user name and password; set mqtt.username and mqtt.password_file"
        return (
            f"{broker} refused user {config.username!r}: bad user name or password; "
            "check mqtt.username and mqtt.password or mqtt.password_file"
        )
    if code.value == _WRONG_PROTOCOL:
        other = "3.1.1" if config.protocol == "5" else "5"
        return f"{broker} does not speak MQTT {config.protocol}; set mqtt.protocol: '{other}'"
    if code.value == _BAD_CLIENT_ID:
        return f"{broker} refused the client id; choose another node.id"
    if code.value in _BUSY:
        return f"{broker} is busy or at a limit ({code}); it is asked again"
    return f"{broker} refused the connection ({code}); see the broker's log"


def explain_loss(config: MqttSection, detail: str, *, taken_over: bool, lasted_s: float) -> str:
    """Return what the end of an established connection means."""
    broker = where(config)
    if taken_over:
        return f"{broker} gave the connection to another client with the same id; give every node its own node.id"
    text = f"lost the connection to {broker}{f' ({detail})' if detail else ''}"
    if lasted_s < 5:
        text += "; if this repeats, another client may use the same node.id"
    return text


def is_takeover(code: ReasonCode) -> bool:
    """Tell whether a DISCONNECT says that another client took the id."""
    return code.value == _TAKEN_OVER


def load_tls(config: MqttSection) -> ssl.SSLContext | None:
    """Return the TLS context, None without TLS.

    Raises:
        TlsFileError: a file is missing, unreadable or not what it should be.
    """
    tls = config.tls
    if tls is None:
        return None
    context = ssl.create_default_context()
    if tls.ca_file:
        try:
            context = ssl.create_default_context(cafile=tls.ca_file)
        except (OSError, ssl.SSLError) as error:
            raise TlsFileError(f"mqtt.tls.ca_file {tls.ca_file}: {_file_problem(error)}") from error
    if tls.cert_file:
        try:
            context.load_cert_chain(tls.cert_file, tls.key_file, password=_refuse_passphrase)
        except (OSError, ssl.SSLError, ValueError) as error:
            raise TlsFileError(
                f"mqtt.tls.cert_file {tls.cert_file} with key_file {tls.key_file}: {_file_problem(error)}"
            ) from error
    return context


def read_password(config: MqttSection) -> str:
    """Return the password, read anew so that a changed file counts.

    Raises:
        ConnectError: the file cannot be read.
    """
    if not config.password_file:
        return config.password.get_secret_value()
    try:
        return Path(config.password_file).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConnectError(f"mqtt.password_file {config.password_file}: {_file_problem(error)}") from error


def _refuse_passphrase() -> bytes:
    raise ValueError("the key is encrypted; remove its passphrase")


def _file_problem(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return f"not a usable PEM file ({error.reason or error})"
    if isinstance(error, OSError):
        return f"{error.strerror}; check the path and its permissions"
    return str(error)
