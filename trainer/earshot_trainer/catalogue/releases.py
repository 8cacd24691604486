"""Releases and what was offered to whom, in the catalogue."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Delete, Engine, RowMapping, delete, insert, select, update

from earshot_node.contract.deployment import InstallResult, OfferMode
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import version_key
from earshot_trainer.catalogue.inserting import insert_new
from earshot_trainer.catalogue.opening import transaction
from earshot_trainer.catalogue.schema import canary_watches, offers, releases, stamp

Gate = Literal["", "passed", "failed", "synthetic"]
"""What the gate said: nothing, since nobody asked; or `synthetic`: passed, but there was synthetic material only."""


@dataclass(frozen=True, slots=True)
class Release:
    """A signed bundle in the home.

    Attributes:
        parent: the version that it grew from, '' if unknown.
        summary: what is new, for people.
        made_by: who or what registered it.
        gate_reason: what the gate compared, or what got worse.
        is_forced: released against the gate.
        registered: time, as the tables hold it.
    """

    sha256: str
    version: str
    name: str
    size_bytes: int
    labels: tuple[str, ...]
    parent: str
    summary: str
    made_by: str
    gate: Gate
    gate_reason: str
    is_forced: bool
    registered: str

    @property
    def may_decide(self) -> bool:
        """Whether it may be installed on nodes, and not only run in the shadow."""
        return self.is_forced or self.gate in ("", "passed")


@dataclass(frozen=True, slots=True)
class Offer:
    """A release that was offered to one node.

    Attributes:
        id: of the deployment; the same for all its nodes.
        outcome: what the node told, '' as long as it told nothing.
        reason: why, '' when all went well.
        withdrawn: when it was taken back, '' if it stands.
    """

    id: str
    node: str
    sha256: str
    mode: OfferMode
    is_canary: bool
    made_by: str
    is_forced: bool
    offered: str
    outcome: str = ""
    reason: str = ""
    told: str = ""
    withdrawn: str = ""
    withdrawn_why: str = ""

    @property
    def state(self) -> str:
        """Return the outcome, `taken back`, `is to go back`, or `waits`."""
        if self.withdrawn and self.outcome in ("", "shadowed"):
            return "taken back"
        if self.withdrawn and self.outcome in ("installed", "kept"):
            return "is to go back"
        return self.outcome or "waits"


class Releases:
    """What there is to deploy, and what was deployed. Methods block on the database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def add(self, release: Release) -> None:
        """Keep a release; the same bundle again changes nothing.

        Raises:
            OperatorError: another bundle has this version.
        """
        with transaction(self._engine) as connection:
            known = connection.execute(select(releases.c.sha256).where(releases.c.version == release.version)).scalar()
            if known == release.sha256:
                return
            if known is not None:
                raise OperatorError(
                    f"there is another bundle of version {release.version}; package this one with a newer version"
                )
            connection.execute(insert(releases).values(_release_row(release)))

    def all(self) -> list[Release]:
        """Return all releases, oldest version first."""
        with transaction(self._engine) as connection:
            found = [_release(row) for row in connection.execute(select(releases)).mappings()]
        return sorted(found, key=lambda one: version_key(one.version))

    def find(self, sha256: str) -> Release | None:
        """Return the release of this bundle."""
        with transaction(self._engine) as connection:
            row = connection.execute(select(releases).where(releases.c.sha256 == sha256)).mappings().first()
        return _release(row) if row is not None else None

    def chosen(self, version: str) -> Release:
        """Return a version, or the newest for ''.

        Raises:
            OperatorError: there is none.
        """
        found = self.all()
        if not found:
            raise OperatorError("there is no release; name a bundle's file, or make one with `trainer-cli retrain`")
        if not version:
            return found[-1]
        for one in found:
            if one.version == version:
                return one
        raise OperatorError(f"no release {version}; `trainer-cli releases` lists them")

    def note_offers(self, made: list[Offer]) -> None:
        """Keep offers before they are published; whoever is to decide with a release anew is watched anew."""
        with transaction(self._engine) as connection:
            for one in made:
                connection.execute(insert(offers).values(_offer_row(one)))
                if one.mode != "shadow":
                    connection.execute(_forget_watch(one.node, one.sha256))

    def note_result(self, node: str, result: InstallResult) -> None:
        """Keep what a node told about an offer that was made to it, and only what is news.

        What becomes of a model later on, such as that it was rolled back, carries no offer's id but its hash. A node
        that went back has the model that decides instead; one that it had left itself is installed there once more.
        """
        told = stamp(result.time)
        here = offers.c.node == node
        query = select(offers.c.id).where(here)
        if result.id:
            query = query.where(offers.c.id == result.id, offers.c.told.is_(None) | (offers.c.told < told))
        else:
            query = query.where(offers.c.sha256 == result.sha256, offers.c.told < told)
        with transaction(self._engine) as connection:
            query = query.order_by(offers.c.offered.desc()).limit(1)
            found = connection.execute(query).scalar()
            if found is not None:
                change = update(offers).where(here, offers.c.id == found)
                connection.execute(change.values(outcome=result.outcome, reason=result.reason[:400], told=told))
            if result.outcome == "rolled_back" and result.active != result.version:
                of_it = offers.c.sha256.in_(select(releases.c.sha256).where(releases.c.version == result.active))
                older = offers.c.told.is_(None) | (offers.c.told < told)
                left = (here, of_it, offers.c.outcome.in_(("", "rolled_back")), older)
                again = {"outcome": "installed", "reason": "", "told": told, "withdrawn": None, "withdrawn_why": ""}
                connection.execute(update(offers).where(*left).values(**again))

    def note_withdrawal(self, node: str, offer_ids: list[str], why: str, now: datetime) -> None:
        """Offers were taken back from a node."""
        chosen = (offers.c.node == node, offers.c.id.in_(offer_ids), offers.c.withdrawn.is_(None))
        with transaction(self._engine) as connection:
            connection.execute(update(offers).where(*chosen).values(withdrawn=stamp(now), withdrawn_why=why[:400]))

    def let_stand(self, node: str, sha256: str) -> bool:
        """Let a node keep a release that it was to let go; tell whether it was."""
        chosen = (offers.c.node == node, offers.c.sha256 == sha256, offers.c.withdrawn.is_not(None))
        still_there = offers.c.outcome.not_in(("refused", "rolled_back"))
        with transaction(self._engine) as connection:
            change = update(offers).where(*chosen, still_there).values(withdrawn=None, withdrawn_why="")
            return connection.execute(change).rowcount > 0

    def note_watch(self, node: str, sha256: str, watched_s: float, now: datetime) -> None:
        """A node that decides with a release was watched to the end and did well."""
        values = {"node": node, "sha256": sha256, "watched_s": watched_s, "ended": stamp(now)}
        with transaction(self._engine) as connection:
            connection.execute(_forget_watch(node, sha256))
            insert_new(connection, canary_watches, values)

    def was_watched(self, node: str, sha256: str, watch_s: float) -> bool:
        """Whether a watch of at least so long ended well since the node was last offered the release."""
        here = (canary_watches.c.node == node, canary_watches.c.sha256 == sha256)
        found = select(canary_watches.c.node).where(*here, canary_watches.c.watched_s >= watch_s)
        with transaction(self._engine) as connection:
            return connection.execute(found).first() is not None

    def offers(self, sha256: str = "") -> list[Offer]:
        """Return the offers of a release, or all, oldest first."""
        query = select(offers).order_by(offers.c.offered, offers.c.node)
        if sha256:
            query = query.where(offers.c.sha256 == sha256)
        with transaction(self._engine) as connection:
            return [_offer(row) for row in connection.execute(query).mappings()]

    def last_offer(self, node: str, sha256: str) -> Offer | None:
        """Return the last offer by which a node was to decide with a release."""
        made = [one for one in self.offers(sha256) if one.node == node and one.mode != "shadow"]
        return made[-1] if made else None

    def offer_before(self, node: str, sha256: str) -> Offer | None:
        """Return the last offer by which a node was to decide with something else than this release."""
        made = [one for one in self.offers() if one.node == node and one.mode != "shadow" and one.sha256 != sha256]
        return made[-1] if made else None

    def latest_offers(self) -> dict[str, Offer]:
        """Return the last offer that was made to each node, by node."""
        return {one.node: one for one in self.offers()}


def _forget_watch(node: str, sha256: str) -> Delete:
    return delete(canary_watches).where(canary_watches.c.node == node, canary_watches.c.sha256 == sha256)


def _release_row(release: Release) -> dict[str, object]:
    row = {name: getattr(release, name) for name in Release.__slots__}
    return {**row, "labels": ",".join(release.labels)}


def _release(row: RowMapping) -> Release:
    values = dict(row)
    return Release(**{**values, "labels": tuple(str(values["labels"]).split(","))})


def _offer_row(offer: Offer) -> dict[str, object]:
    row = {name: getattr(offer, name) for name in Offer.__slots__}
    return {**row, "told": offer.told or None, "withdrawn": offer.withdrawn or None}


def _offer(row: RowMapping) -> Offer:
    values = dict(row)
    return Offer(**{**values, "told": values["told"] or "", "withdrawn": values["withdrawn"] or ""})
