"""Joining a trainer: the invite that a person carries, and the one exchange that follows. See docs/joining.md."""

import base64
import json
from datetime import datetime
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_serializer

from earshot_node.contract.messages import Message, Time
from earshot_node.contract.names import Label, Slug
from earshot_node.contract.node_address import HTTP_URL
from earshot_node.errors import OperatorError

INVITE_PREFIX: Final = "earshot1."
MAX_INVITE_CHARS: Final = 16_384
PUBLIC_KEY = r"^[A-Za-z0-9+/]{43}=$"
TRAINER_URL = HTTP_URL
JOIN_PATH: Final = "/api/v1/join"


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Broker(_Part):
    """Where the household's broker is.

    Attributes:
        tls: whether to speak TLS.
        ca: certificate that it is checked with, PEM; '' for the system's.
    """

    host: str = Field(min_length=1, max_length=253)
    port: int = Field(ge=1, le=65_535)
    tls: bool = False
    ca: str = Field(default="", max_length=8_192)
    prefix: str = Field(default="earshot", pattern=r"^[A-Za-z0-9_-]+(/[A-Za-z0-9_-]+)*$")


class Invite(_Part):
    """One line that lets one node join, once, until it expires. Whoever reads it can join in the node's place.

    Attributes:
        url: the trainer's address, without a slash at the end.
        public_key: the trainer's Ed25519 key, base64; what the node believes from now on.
        secret: shown once to the trainer.
        node: suggested id; '' leaves it to the node.
        ca: certificate that the trainer's HTTPS is checked with, PEM; '' for the system's.
    """

    schema_: Literal[1] = Field(default=1, alias="schema")
    url: str = Field(pattern=TRAINER_URL, max_length=300)
    public_key: str = Field(pattern=PUBLIC_KEY)
    secret: SecretStr = Field(min_length=16, max_length=200)
    node: Slug | Literal[""] = ""
    broker: Broker
    expires: Time
    ca: str = Field(default="", max_length=8_192)

    @field_serializer("secret", when_used="json")
    def _reveal(self, secret: SecretStr) -> str:
        return secret.get_secret_value()


class JoinRequest(Message):
    """What a node says to `POST <url>/api/v1/join`.

    Attributes:
        secret: the invite's.
        nonce: of this request, random; comes back signed, so that an old answer cannot be replayed.
        http_port: where its HTTP will answer.
        http_certificate: sha256 of the certificate that it will show, see `NodeAddress`; '' for plain HTTP.
    """

    secret: str
    nonce: str = Field(min_length=16, max_length=64)
    node: Slug
    version: str
    labels: tuple[Label, ...]
    http_port: int = Field(default=8765, ge=1, le=65_535)
    http_certificate: str = Field(default="", pattern=r"^(?:[0-9a-f]{64})?$")


class JoinGrant(Message):
    """What the trainer grants; travels inside a `SignedAnswer`.

    Attributes:
        nonce: the request's.
        node: the id that the node has from now on.
        token: names the node to the trainer's HTTP.
        mqtt_username: of the broker account; '' for a broker without accounts.
        mqtt_password: of the broker account.
    """

    nonce: str
    node: Slug
    token: str = Field(min_length=16, max_length=200, pattern=r"^[\x21-\x7e]+$")
    mqtt_username: str = Field(default="", max_length=200)
    mqtt_password: str = Field(default="", max_length=200)


class SignedAnswer(Message):
    """The exact bytes of a `JoinGrant` as text, and their Ed25519 signature, base64."""

    grant: str = Field(max_length=8_192)
    signature: str = Field(pattern=r"^[A-Za-z0-9+/]{86}==$")


def encode_invite(invite: Invite) -> str:
    """Return the invite as one line without spaces."""
    body = json.dumps(invite.model_dump(mode="json", by_alias=True), separators=(",", ":")).encode()
    return INVITE_PREFIX + base64.urlsafe_b64encode(body).decode().rstrip("=")


def decode_invite(line: str, now: datetime) -> Invite:
    """Read an invite.

    Raises:
        OperatorError: it is cut off, not one, or expired; the message holds nothing of it.
    """
    text = "".join(line.split())
    if not text.startswith(INVITE_PREFIX) or len(text) > MAX_INVITE_CHARS:
        raise OperatorError(f"this is no invite; it begins with {INVITE_PREFIX} and `trainer-cli invite` prints it")
    body = text.removeprefix(INVITE_PREFIX)
    try:
        invite = Invite.model_validate(_decode(body))
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors(include_url=False, include_input=False)[0]["loc"])
        raise OperatorError(f"the invite is damaged ({field or 'content'}); copy the whole line again") from None
    except ValueError:
        raise OperatorError("the invite is cut off or damaged; copy the whole line again") from None
    if now >= invite.expires:
        raise OperatorError(f"the invite expired on {invite.expires:%Y-%m-%d at %H:%M} UTC; ask for a new one")
    return invite


def _decode(body: str) -> Any:
    if not body.isascii() or set(body) - set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"):
        raise ValueError("not base64url")
    return json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
