"""Nodes and invites in the catalogue."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, Engine, delete, func, insert, or_, select, update

from earshot_node.errors import OperatorError, PeerError
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import invites, node_addresses, nodes, stamp


class InviteError(PeerError):
    """An invite does not let this node in; the text is for the node's owner."""


class TakenError(PeerError):
    """The node's id belongs to another node; the invite can still be used."""


@dataclass(frozen=True, slots=True)
class Member:
    """A node that has joined.

    Attributes:
        token: names the node to the trainer, and the trainer to the node; not shown in a repr.
        address: of its HTTP, without a slash at the end; '' if unknown.
        collected: when a collection last reached it, '' if never.
        certificate: sha256 of the certificate that its HTTPS has to show; '' if none is pinned.
    """

    id: str
    token: str
    address: str
    version: str
    joined: str
    collected: str
    certificate: str = ""

    def __repr__(self) -> str:
        return f"Member({self.id!r}, {self.address!r})"


class Members:
    """Who belongs to the fleet. Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add_invite(self, secret_sha256: str, node: str, created: datetime, expires: datetime) -> None:
        """Keep an invite by the hash of its secret."""
        values = {"secret_sha256": secret_sha256, "node": node, "created": stamp(created), "expires": stamp(expires)}
        with transaction(self._engine) as connection:
            connection.execute(insert(invites).values(values))

    def admit(
        self, secret_sha256: str, member: Member, now: datetime, also: Callable[[bool], None] = lambda _: None
    ) -> None:
        """Use an invite up and make its bearer a member; both or neither.

        A node that is a member is replaced only by an invite that was made for it.

        Args:
            secret_sha256: of the invite.
            member: who comes in.
            now: the time.
            also: what else belongs to it, told whether the node was expected: it was here before, or the invite was
                made for it. If it raises, nothing has happened.

        Raises:
            InviteError: unknown, used, expired or revoked.
            TakenError: it was made for another node, and a node of that id has joined already.
        """
        with transaction(self._engine) as connection:
            made_for = _usable_invite(connection, secret_sha256, now)
            known = connection.execute(select(nodes.c.removed).where(nodes.c.id == member.id)).first()
            if known is not None and known.removed is None and made_for != member.id:
                raise TakenError(
                    f"a node {member.id!r} has joined already; use --node with another id, or an invite made for it"
                )
            used = (
                update(invites)
                .where(invites.c.secret_sha256 == secret_sha256, invites.c.used.is_(None))
                .values(used=stamp(now), used_by=member.id)
            )
            if connection.execute(used).rowcount != 1:
                raise InviteError("this invite was used")
            values = {
                "token": member.token,
                "address": member.address,
                "version": member.version,
                "joined": stamp(now),
                "removed": None,
            }
            if known is None:
                connection.execute(insert(nodes).values(id=member.id, **values))
            else:
                connection.execute(update(nodes).where(nodes.c.id == member.id).values(values))
            _place(connection, member.id, member.address, member.certificate, now, is_fixed=False)
            also(known is not None or made_for == member.id)

    def remove(self, node: str, now: datetime) -> None:
        """Take a node out: its token is forgotten, and so are invites made for it.

        Raises:
            OperatorError: there is no such node.
        """
        with transaction(self._engine) as connection:
            gone = update(nodes).where(nodes.c.id == node, nodes.c.removed.is_(None))
            if connection.execute(gone.values(token="", removed=stamp(now))).rowcount != 1:
                raise _unknown(node)
            connection.execute(delete(node_addresses).where(node_addresses.c.node == node))
            unused = (invites.c.node == node, invites.c.used.is_(None), invites.c.revoked.is_(None))
            connection.execute(update(invites).where(*unused).values(revoked=stamp(now)))

    def set_address(self, node: str, address: str, now: datetime) -> None:
        """Note where a node's HTTP answers, whatever the node says itself; '' for what it says.

        Raises:
            OperatorError: there is no such node.
        """
        with transaction(self._engine) as connection:
            known = _member(connection, node)
            if known is None:
                raise _unknown(node)
            _place(connection, node, address or known.address, known.certificate, now, is_fixed=bool(address))

    def note_address(self, node: str, address: str, certificate: str, now: datetime) -> bool:
        """Take what a node has proven about its HTTP; return whether that is news.

        A person's word about the address stands, and who has shown a certificate once is never believed without one:
        what a node said long ago can be said again by others.
        """
        with transaction(self._engine) as connection:
            known = _member(connection, node)
            fixed = connection.execute(
                select(node_addresses.c.url).where(node_addresses.c.node == node, node_addresses.c.is_fixed)
            ).scalar()
            if known is None or (known.certificate and not certificate):
                return False
            if (known.address, known.certificate) == (fixed or address, certificate):
                return False
            _place(connection, node, fixed or address, certificate, now, is_fixed=fixed is not None)
            return True

    def all(self) -> list[Member]:
        """Return all members by id."""
        with transaction(self._engine) as connection:
            return [_as_member(row) for row in connection.execute(_MEMBERS.order_by(nodes.c.id))]

    def chosen(self, wanted: tuple[str, ...]) -> list[Member]:
        """Return the named members, all if none is named.

        Raises:
            OperatorError: one is no member.
        """
        members = self.all()
        for name in wanted:
            if name not in {one.id for one in members}:
                raise _unknown(name)
        return [one for one in members if not wanted or one.id in wanted]

    def note_collection(self, node: str, now: datetime) -> None:
        """A collection has reached the node and taken all that it had."""
        with transaction(self._engine) as connection:
            connection.execute(update(nodes).where(nodes.c.id == node).values(collected=stamp(now)))


_MEMBERS: Final = (
    select(
        nodes.c.id,
        nodes.c.token,
        func.coalesce(node_addresses.c.url, nodes.c.address),
        nodes.c.version,
        nodes.c.joined,
        func.coalesce(nodes.c.collected, ""),
        func.coalesce(node_addresses.c.certificate, ""),
    )
    .select_from(nodes.outerjoin(node_addresses, nodes.c.id == node_addresses.c.node))
    .where(nodes.c.removed.is_(None))
)


def _as_member(row: Any) -> Member:
    return Member(*row)


def _member(connection: Connection, node: str) -> Member | None:
    row = connection.execute(_MEMBERS.where(nodes.c.id == node)).first()
    return _as_member(row) if row is not None else None


def _place(connection: Connection, node: str, url: str, certificate: str, now: datetime, *, is_fixed: bool) -> None:
    values = {"url": url, "certificate": certificate, "is_fixed": is_fixed, "told": stamp(now)}
    known = update(node_addresses).where(node_addresses.c.node == node)
    if connection.execute(known.values(values)).rowcount == 0:
        connection.execute(insert(node_addresses).values(node=node, **values))


def _usable_invite(connection: Connection, secret_sha256: str, now: datetime) -> str:
    """Return which node the invite was made for; every invite is compared, in constant time."""
    found = None
    for row in connection.execute(select(invites).where(or_(invites.c.expires > stamp(now), invites.c.used.is_(None)))):
        if hmac.compare_digest(row.secret_sha256.encode(), secret_sha256.encode()):
            found = row
    if found is None:
        raise InviteError("this invite is not known here, or was used")
    if found.used is not None:
        raise InviteError("this invite was used")
    if found.revoked is not None:
        raise InviteError("this invite was revoked")
    if found.expires <= stamp(now):
        raise InviteError("this invite has expired")
    return str(found.node)


def _unknown(node: str) -> OperatorError:
    return OperatorError(f"no node {node!r} has joined; `trainer-cli nodes` lists them")
