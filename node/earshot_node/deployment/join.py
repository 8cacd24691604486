"""Joins a trainer: shows it the invite's secret, believes only what its key has signed, and keeps what it grants."""

import asyncio
import base64
import json
import logging
import secrets
import ssl
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import SecretStr

from earshot_node import __version__
from earshot_node.contract.joining import JOIN_PATH, Invite, JoinGrant, JoinRequest, SignedAnswer
from earshot_node.deployment.durable import make_folder, write_file
from earshot_node.deployment.membership import Membership, save_membership
from earshot_node.errors import MessageError, OperatorError, PeerError, RetryError

_log = logging.getLogger(__name__)

WITHIN_S: Final = 30.0
DEFAULT_HTTP_PORT: Final = 8765
MAX_ANSWER_BYTES: Final = 32_768
_OK: Final = 200
_GONE: Final = (403, 404, 409, 410)
_EXAMPLE_SOURCE: Final = {"id": "microphone", "type": "microphone", "device": "default"}


def join(
    invite: Invite, node: str, labels: tuple[str, ...], http_port: int = 0, http_certificate: str = ""
) -> JoinGrant:
    """Exchange the invite for a grant; it is used up by that.

    Args:
        invite: the one.
        node: id that the node wants.
        labels: what it listens for.
        http_port: where its HTTP will answer; 0 for the default.
        http_certificate: sha256 of what its HTTPS will show; '' for plain HTTP.

    Raises:
        OperatorError: the trainer refuses: used, expired or revoked.
        PeerError: the answer is not the trainer's; nothing of it is believed.
        RetryError: the trainer does not answer.
    """
    nonce = secrets.token_urlsafe(24)
    request = JoinRequest(
        secret=invite.secret.get_secret_value(),
        nonce=nonce,
        node=node,
        version=__version__,
        labels=labels,
        http_port=http_port or DEFAULT_HTTP_PORT,
        http_certificate=http_certificate,
    )
    answer = asyncio.run(_post(invite, request))
    return _verified(answer, invite.public_key, nonce)


def keep(invite: Invite, grant: JoinGrant, state_dir: Path, config: Path) -> list[Path]:
    """Write what joining left: the membership last, because it makes the node a member; return what was written.

    The configuration is written where there is none; an existing one stays as it is.

    Raises:
        OperatorError: something cannot be written.
    """
    written = []
    try:
        make_folder(state_dir)
        if grant.mqtt_password:
            password = state_dir / "mqtt_password"
            write_file(password, grant.mqtt_password.encode() + b"\n")
            written.append(password)
        if invite.broker.ca:
            ca = state_dir / "broker_ca.pem"
            write_file(ca, invite.broker.ca.encode())
            written.append(ca)
        if not config.exists():
            write_file(config, _configuration(invite, grant, state_dir))
            written.append(config)
    except OSError as error:
        raise OperatorError(
            f"{error.filename}: cannot be written ({error.strerror}); the invite is used up, ask for a new one"
        ) from error
    membership = Membership(
        url=invite.url.rstrip("/"), public_key=invite.public_key, token=SecretStr(grant.token), ca=invite.ca
    )
    save_membership(state_dir, membership)
    return [*written, state_dir / "trainer.json"]


def broker_section(invite: Invite, grant: JoinGrant, state_dir: Path) -> dict[str, Any]:
    """Return the section `mqtt` that belongs to the invite; it names the file of the password."""
    broker = invite.broker
    section: dict[str, Any] = {"host": broker.host, "port": broker.port}
    if grant.mqtt_username:
        section["username"] = grant.mqtt_username
    if grant.mqtt_password:
        section["password_file"] = str(state_dir / "mqtt_password")
    if broker.tls:
        section["tls"] = {"ca_file": str(state_dir / "broker_ca.pem")} if broker.ca else {}
    if broker.prefix != "earshot":
        section["prefix"] = broker.prefix
    return section


def _configuration(invite: Invite, grant: JoinGrant, state_dir: Path) -> bytes:
    body = {
        "node": {"id": grant.node, "state_dir": str(state_dir)},
        "sources": [_EXAMPLE_SOURCE],
        "mqtt": broker_section(invite, grant, state_dir),
    }
    return yaml.safe_dump(body, sort_keys=False).encode()


async def _post(invite: Invite, request: JoinRequest) -> bytes:
    import aiohttp

    context = ssl.create_default_context(cadata=invite.ca or None)
    timeout = aiohttp.ClientTimeout(total=WITHIN_S)
    headers = {"Content-Type": "application/json"}
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.post(
                invite.url.rstrip("/") + JOIN_PATH, data=request.encode(), headers=headers, allow_redirects=False
            ) as response,
        ):
            body = await response.content.read(MAX_ANSWER_BYTES + 1)
            while len(body) <= MAX_ANSWER_BYTES and (more := await response.content.read(MAX_ANSWER_BYTES)):
                body += more
    except (aiohttp.ClientError, TimeoutError) as error:
        reason = " ".join(str(error).split()) or f"no answer within {WITHIN_S:.0f} s"
        raise RetryError(
            f"{invite.url}: the trainer cannot be reached: {reason}; is `trainer-cli serve` on?"
        ) from error
    if response.status in _GONE:
        raise OperatorError(f"{invite.url}: the trainer refuses: {_reason(body)}; ask for a new invite")
    if response.status != _OK:
        raise RetryError(f"{invite.url}: the trainer answers {response.status}; try again")
    if len(body) > MAX_ANSWER_BYTES:
        raise PeerError(f"{invite.url}: the answer is longer than an answer can be; this is not the trainer")
    return body


def _verified(answer: bytes, public_key: str, nonce: str) -> JoinGrant:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    refusal = "the answer is not signed by the trainer of this invite; is somebody in between? Nothing was changed"
    try:
        signed = SignedAnswer.decode(answer)
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key, validate=True))
        key.verify(base64.b64decode(signed.signature, validate=True), signed.grant.encode())
        grant = JoinGrant.decode(signed.grant.encode())
    except (InvalidSignature, ValueError) as error:
        raise PeerError(refusal) from error
    except MessageError as error:
        raise PeerError(f"the trainer's answer makes no sense ({error}); nothing was changed") from error
    if not secrets.compare_digest(grant.nonce.encode(), nonce.encode()):
        raise PeerError("the answer belongs to another request; nothing was changed")
    return grant


def _reason(body: bytes) -> str:
    """Read `{"error": "one line"}`; what is not that is not shown."""
    try:
        text = str(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"
    return " ".join("".join(c for c in text if c.isprintable()).split())[:200]
