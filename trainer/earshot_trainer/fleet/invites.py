"""Invites and the grants that answer them."""

import base64
import hashlib
import secrets
from datetime import UTC, datetime, timedelta

from pydantic import SecretStr

from earshot_node.contract.joining import Broker, Invite, JoinGrant, JoinRequest, SignedAnswer, encode_invite
from earshot_trainer.catalogue.members import Member, Members, TakenError
from earshot_trainer.fleet.broker_accounts import BrokerAccounts, ReservedNameError
from earshot_trainer.home.config import read_pem
from earshot_trainer.home.folder import Home


def make_invite(home: Home, members: Members, node: str, valid_for: timedelta) -> str:
    """Return a line that lets one node join, once; the catalogue keeps only the hash of its secret.

    Args:
        home: whose configuration says where trainer and broker are.
        members: where the invite is kept.
        node: which node it is for; '' lets in any node whose id is new.
        valid_for: until it expires.

    Raises:
        ConfigError: a certificate that the configuration names cannot be read.
    """
    now = datetime.now(UTC)
    secret = secrets.token_urlsafe(24)
    mqtt = home.config.mqtt
    invite = Invite(
        url=home.config.url.rstrip("/"),
        public_key=home.public_key,
        secret=SecretStr(secret),
        node=node,
        broker=Broker(
            host=mqtt.host,
            port=mqtt.effective_port,
            tls=mqtt.tls is not None,
            ca=read_pem(mqtt.tls.ca_file, "mqtt.tls.ca_file") if mqtt.tls is not None else "",
            prefix=mqtt.prefix,
        ),
        expires=now + valid_for,
        ca=read_pem(home.config.ca_file, "ca_file"),
    )
    members.add_invite(_hash(secret), node, now, invite.expires)
    return encode_invite(invite)


def let_in(home: Home, members: Members, request: JoinRequest, remote: str) -> SignedAnswer:
    """Use the invite up and return the signed grant.

    Args:
        home: whose key signs.
        members: where the node becomes one.
        request: what the node said.
        remote: the address that it came from, where its HTTP is expected from now on.

    Raises:
        InviteError: the invite lets nobody in.
        TakenError: another node, or another account at the broker, has the id.
        OperatorError: the catalogue or the broker's accounts cannot be changed; the invite can still be used.
    """
    token = secrets.token_urlsafe(32)
    host = f"[{remote}]" if ":" in remote else remote
    scheme = "https" if request.http_certificate else "http"
    address = f"{scheme}://{host}:{request.http_port}" if remote else ""
    now = datetime.now(UTC)
    member = Member(request.node, token, address, request.version[:40], "", "", request.http_certificate)
    accounts = broker_accounts(home)
    passwords: list[str] = []

    def give_account(was_expected: bool) -> None:
        try:
            passwords.append(accounts.create(request.node, may_replace=was_expected))
        except ReservedNameError as error:
            raise TakenError(str(error)) from error

    members.admit(_hash(request.secret), member, now, give_account)
    grant = JoinGrant(
        nonce=request.nonce,
        node=request.node,
        token=token,
        mqtt_username=request.node if passwords[0] else "",
        mqtt_password=passwords[0],
    ).encode()
    return SignedAnswer(grant=grant.decode(), signature=base64.b64encode(home.key.sign(grant)).decode())


def broker_accounts(home: Home) -> BrokerAccounts:
    """Return the accounts that nodes of this home have at the broker."""
    return BrokerAccounts(home.config.broker_accounts, home.folder / ".accounts.lock")


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
