"""Nodes and invites in the catalogue."""

import hmac
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, insert, or_, select, update

from earshot_node.errors import OperatorError, PeerError
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import invites, nodes, stamp


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
    """

    id: str
    token: str
    address: str
    version: str
    joined: str
    collected: str

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

    def admit(self, secret_sha256: str, member: Member, now: datetime) -> None:
        """Use an invite up and make its bearer a member; both or neither.

        A node that is a member is replaced only by an invite that was made for it.

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

    def remove(self, node: str, now: datetime) -> None:
        """Take a node out: its token is forgotten, and so are invites made for it.

        Raises:
            OperatorError: there is no such node.
        """
        with transaction(self._engine) as connection:
            gone = update(nodes).where(nodes.c.id == node, nodes.c.removed.is_(None))
            if connection.execute(gone.values(token="", removed=stamp(now))).rowcount != 1:
                raise _unknown(node)
            unused = (invites.c.node == node, invites.c.used.is_(None), invites.c.revoked.is_(None))
            connection.execute(update(invites).where(*unused).values(revoked=stamp(now)))

    def set_address(self, node: str, address: str) -> None:
        """Note where a node's HTTP answers.

        Raises:
            OperatorError: there is no such node.
        """
        with transaction(self._engine) as connection:
            change = update(nodes).where(nodes.c.id == node, nodes.c.removed.is_(None)).values(address=address)
            if connection.execute(change).rowcount != 1:
                raise _unknown(node)

    def all(self) -> list[Member]:
        """Return all members by id."""
        columns = (nodes.c.id, nodes.c.token, nodes.c.address, nodes.c.version, nodes.c.joined, nodes.c.collected)
        with transaction(self._engine) as connection:
            rows = connection.execute(select(*columns).where(nodes.c.removed.is_(None)).order_by(nodes.c.id))
            return [Member(*row[:5], row[5] or "") for row in rows]

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
