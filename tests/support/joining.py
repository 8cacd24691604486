"""The trainer's side of joining, small but with behaviour: invites that work once and expire, signed grants."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from pydantic import SecretStr

from earshot_node.contract.joining import Broker, Invite, JoinGrant, JoinRequest, SignedAnswer, encode_invite
from support.deployed import KEY, public_text
from support.trainer_server import TrainerServer


@dataclass
class Inviting:
    """Lets nodes join.

    Attributes:
        server: through which it answers.
        key: signs the grants.
        edit: changes a grant's fields before it is signed.
    """

    server: TrainerServer
    key: Ed25519PrivateKey = KEY
    edit: Callable[[dict[str, Any]], None] = lambda _: None
    open: dict[str, datetime] = field(default_factory=dict)
    joined: list[JoinRequest] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server.join = self.answer

    def invite(self, *, valid_for: timedelta = timedelta(hours=1), **fields: Any) -> str:
        """Return a line that lets one node join."""
        secret = secrets.token_urlsafe(24)
        expires = datetime.now(UTC) + valid_for
        self.open[secret] = expires
        values = {
            "url": self.server.url,
            "public_key": public_text(),
            "secret": SecretStr(secret),
            "node": "hallway",
            "broker": Broker(host="broker.lan", port=1883),
            "expires": expires,
            **fields,
        }
        return encode_invite(Invite.model_validate(values))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Answer POST /api/v1/join."""
        wanted = JoinRequest.decode(await request.read())
        expires = self.open.pop(wanted.secret, None)
        if expires is None or expires < datetime.now(UTC):
            return web.json_response({"error": "this invite was used, or has expired"}, status=403)
        self.joined.append(wanted)
        values = {
            "nonce": wanted.nonce,
            "node": wanted.node,
            "token": secrets.token_urlsafe(24),
            "mqtt_username": wanted.node,
            "mqtt_password": secrets.token_urlsafe(12),
        }
        self.edit(values)
        grant = JoinGrant.model_validate(values).encode()
        signature = base64.b64encode(self.key.sign(grant)).decode()
        answer = SignedAnswer(grant=grant.decode(), signature=signature)
        return web.Response(body=answer.encode(), content_type="application/json")
