"""One deployment: offers to nodes, a canary first if one is named, and what became of it at each.

offer to the canary -> installed -> watched -> offers to the others -> each has told, or is away
                    -> stopped: the offer is taken back, the canary goes back, at once or when it returns

A canary that has the release already is watched as well, unless the catalogue knows of a watch that ended well: an
earlier deployment may have been interrupted.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import Engine

from earshot_node.contract.deployment import ModelOffer, OfferMode
from earshot_node.deployment.installer import WATCH_S
from earshot_node.errors import OperatorError
from earshot_node.inference.bundle import load_bundled
from earshot_trainer.catalogue.alarms import AlarmRate, Alarms
from earshot_trainer.catalogue.releases import Offer, Release, Releases
from earshot_trainer.catalogue.schema import stamp
from earshot_trainer.deploying.canary import PAST_NEEDED_S, CanaryWatch
from earshot_trainer.deploying.going_back import ask_to_end_shadow, ask_to_go_back, leave_word, refresh
from earshot_trainer.deploying.progress import GOOD, NodeProgress
from earshot_trainer.deploying.registering import current_user
from earshot_trainer.deploying.watched_fleet import WatchedFleet

PAST: Final = timedelta(days=14)
WAIT_S: Final = 900.0


@dataclass(frozen=True, slots=True)
class DeployRequest:
    """What to deploy where.

    Attributes:
        release: what.
        nodes: ids of members.
        mode: see `ModelOffer`.
        canary: one of `nodes`, gets it first; '' for nobody.
        watch_s: how long the canary is watched.
        trial_s: how long every node has it on trial, in seconds of listening.
        wait_s: how long to wait for nodes that are there; 0: not at all.
        is_forced: against the gate.
    """

    release: Release
    nodes: tuple[str, ...]
    mode: OfferMode = "install"
    canary: str = ""
    watch_s: float = 1800.0
    trial_s: float = WATCH_S
    wait_s: float = WAIT_S
    is_forced: bool = False


@dataclass(slots=True)
class Deployed:
    """What became of a deployment.

    Attributes:
        id: of its offers.
        nodes: in the order of the request.
        stopped: why the canary stopped it, '' if it did not.
    """

    id: str
    mode: OfferMode
    waited: bool
    nodes: list[NodeProgress] = field(default_factory=list)
    stopped: str = ""

    @property
    def exit_code(self) -> int:
        """Return 0 when all have it (or nobody waited), 3 when some, 1 when none or when the canary stopped it."""
        if self.stopped:
            return 1
        if not self.waited:
            return 0
        fine = [one for one in self.nodes if one.state in (*GOOD, *(("offered",) if self.mode == "offer" else ()))]
        if len(fine) == len(self.nodes):
            return 0
        return 3 if fine or any(one.state in ("away", "late") for one in self.nodes) else 1


class Deployment:
    """Runs one request.

    Args:
        fleet: connected.
        engine: the catalogue.
        request: what to do.
        tell: called whenever a node is further.
        say: called with single lines for people.
    """

    def __init__(
        self,
        fleet: WatchedFleet,
        engine: Engine,
        request: DeployRequest,
        tell: Callable[[Sequence[NodeProgress]], None],
        say: Callable[[str], None],
    ) -> None:
        self._fleet = fleet
        self._releases = Releases(engine)
        self._alarms = Alarms(engine)
        self._request = request
        self._tell = tell
        self._say = say
        self._loop = asyncio.get_running_loop()
        self._deployed = Deployed(
            id=f"{request.release.version}-{secrets.token_hex(6)}",
            mode=request.mode,
            waited=request.wait_s > 0,
            nodes=[NodeProgress(node) for node in request.nodes],
        )

    async def run(self) -> Deployed:
        """Do it.

        Raises:
            OperatorError: the canary is away, or the broker or the catalogue cannot be used.
        """
        canary = self._request.canary
        if canary and not self._fleet.is_online(canary):
            raise OperatorError(f"the canary {canary} is away; choose a node that is there (`trainer-cli nodes`)")
        for one in self._deployed.nodes:
            if self._has_it_already(one.node):
                one.state = "same"
                await self._let_stand(one.node)
        if canary:
            first = next(one for one in self._deployed.nodes if one.node == canary)
            self._deployed.stopped = await self._try_on(first)
            if self._deployed.stopped:
                await self._stop(first)
                return self._deployed
        await self._offer_to([one for one in self._open if one.state == "pending"], is_canary=False)
        if self._deployed.waited:
            await self._follow(self._deployed.nodes)
        return self._deployed

    @property
    def _open(self) -> list[NodeProgress]:
        return [one for one in self._deployed.nodes if not one.is_over]

    async def _try_on(self, canary: NodeProgress) -> str:
        """Let the canary have it and watch it; return why it is stopped, '' when it did well, now or earlier."""
        release, watch_s = self._request.release, self._request.watch_s
        before = await asyncio.to_thread(self._labels_before, canary)
        if canary.state != "same":
            await self._offer_to([canary], is_canary=True)
            await self._follow([canary])
        elif await asyncio.to_thread(self._releases.was_watched, canary.node, release.sha256, watch_s):
            self._say(f"{canary.node} has it, and a watch of it ended well; it is not watched again")
            return ""
        return await self._watch(canary, before)

    def _has_it_already(self, node: str) -> bool:
        return self._request.mode != "shadow" and self._has_the_model(node)

    async def _let_stand(self, node: str) -> None:
        """It was to let this model go, and has not yet: it may keep it now."""
        if await asyncio.to_thread(self._releases.let_stand, node, self._request.release.sha256):
            await self._fleet.take_back(node)

    def _went_back(self, node: str) -> bool:
        result = self._fleet.view(node).result
        return result is not None and (result.sha256, result.outcome) == (self._request.release.sha256, "rolled_back")

    def _has_the_model(self, node: str) -> bool:
        info = self._fleet.view(node).info
        return info is not None and info.model.version == self._request.release.version

    async def _offer_to(self, nodes: Sequence[NodeProgress], *, is_canary: bool) -> None:
        """Enter the offers in the catalogue, then lay them before the nodes."""
        request, release = self._request, self._request.release
        made = [
            Offer(
                id=self._deployed.id,
                node=one.node,
                sha256=release.sha256,
                mode=request.mode,
                is_canary=is_canary,
                made_by=current_user()[:80],
                is_forced=request.is_forced,
                offered=stamp(datetime.now(UTC)),
            )
            for one in nodes
        ]
        await asyncio.to_thread(self._releases.note_offers, made)
        offer = ModelOffer(
            id=self._deployed.id,
            version=release.version,
            sha256=release.sha256,
            size_bytes=release.size_bytes,
            summary=release.summary,
            mode=request.mode,
            watch_s=request.trial_s,
        )
        for one in nodes:
            await self._fleet.offer(one.node, offer)
            one.state = "offered"
        self._tell(self._deployed.nodes)

    async def _follow(self, nodes: Sequence[NodeProgress]) -> None:
        """Return when each node has told what became of it, is away, or time is up."""
        deadline_s = self._loop.time() + self._request.wait_s
        while True:
            for one in nodes:
                self._look(one)
            self._tell(self._deployed.nodes)
            waiting = [one for one in nodes if not one.is_over and one.state != "away"]
            if not waiting or (self._request.mode == "offer" and all(one.state == "offered" for one in waiting)):
                return
            if self._loop.time() >= deadline_s:
                for one in waiting:
                    one.state = "late"
                    one.reason = one.reason or f"nothing was told within {self._request.wait_s / 60:.0f} min"
                self._tell(self._deployed.nodes)
                return
            await self._fleet.changed()

    def _look(self, one: NodeProgress) -> None:
        view = self._fleet.view(one.node)
        if one.is_over:
            return
        result = view.result
        if result is not None and result.id == self._deployed.id and not (result.outcome == "refused" and result.again):
            one.percent, one.reason = None, result.reason
            one.state = "installed" if result.outcome == "kept" else result.outcome
            return
        if result is not None and result.id == self._deployed.id:
            one.reason = f"{result.reason}; it tries again"
        if view.status != "online":
            one.state, one.percent = "away", None
        elif view.update is not None and view.update.in_progress:
            one.state, one.percent = "working", view.update.update_percentage
        else:
            one.state, one.percent = "offered", None

    def _labels_before(self, canary: NodeProgress) -> frozenset[str]:
        """Return what the canary heard before the release; blocks on the database."""
        info = self._fleet.view(canary.node).info
        if canary.state != "same" and info is not None:
            return frozenset(info.model.labels)
        offer = self._releases.offer_before(canary.node, self._request.release.sha256)
        if offer is None:
            return frozenset(load_bundled().manifest.labels)
        former = self._releases.find(offer.sha256)
        return frozenset(former.labels if former is not None else ())

    async def _watch(self, one: NodeProgress, before: frozenset[str]) -> str:
        """Watch the canary; return why it is stopped, '' when it did well; `before`: labels that it heard until now."""
        if one.state not in GOOD:
            return f"{one.node}: {one.state}{': ' if one.reason else ''}{one.reason}"
        past = await asyncio.to_thread(self._past_of, one)
        health = self._fleet.view(one.node).health
        was_deaf = one.state != "same" and health is not None and health.state == "deaf"
        watch = CanaryWatch(self._request.release.sha256, past, was_deaf, self._loop.time(), before)
        self._fleet.on_alarm = lambda node, event: watch.heard(event) if node == one.node else None
        self._say(f"{one.node} has it; watching it for {self._request.watch_s / 60:g} min before the others get it")
        until_s = self._loop.time() + self._request.watch_s
        try:
            while self._loop.time() < until_s:
                await self._fleet.changed()
                if reason := watch.judge(self._fleet.view(one.node), self._loop.time()):
                    return reason
        finally:
            self._fleet.on_alarm = lambda _node, _event: None
        await asyncio.to_thread(self._note_watch, one.node)
        self._say(f"{one.node} did well ({watch.alarms} alarms); now the others")
        return ""

    def _note_watch(self, node: str) -> None:
        """Note that a watch ended well; in the shadow the model was not heard to decide. Blocks on the database."""
        if self._request.mode != "shadow":
            sha256, watch_s = self._request.release.sha256, self._request.watch_s
            self._releases.note_watch(node, sha256, watch_s, datetime.now(UTC))

    def _past_of(self, canary: NodeProgress) -> AlarmRate:
        """Return how often it alarmed before it had the release, or lately if that is forgotten. Blocks."""
        if (offer := self._earlier_offer(canary)) is not None:
            came = datetime.fromisoformat(offer.offered)
            past = self._alarms.past(canary.node, came - PAST, came)
            if past.listened_s >= PAST_NEEDED_S:
                return past
        return self._alarms.past(canary.node, datetime.now(UTC) - PAST)

    def _earlier_offer(self, canary: NodeProgress) -> Offer | None:
        """Return what brought the release to a canary that had it before this deployment; blocks on the database."""
        if canary.state != "same":
            return None
        return self._releases.last_offer(canary.node, self._request.release.sha256)

    async def _stop(self, canary: NodeProgress) -> None:
        """Take the offer back from the canary, and let it go back or end the shadow if it has the model."""
        why = self._deployed.stopped
        await self._fleet.take_back(canary.node)
        await asyncio.to_thread(self._note_stop, canary)
        if self._went_back(canary.node):
            canary.state = "rolled_back"
        elif canary.state != "refused" or self._has_the_model(canary.node):
            await self._let_go(canary)
        canary.reason = f"{canary.reason}; {why}" if canary.reason else why
        for one in self._open:
            if one is not canary:
                one.state, one.reason = "stopped", "not offered: the canary stopped it"
        self._tell(self._deployed.nodes)

    def _note_stop(self, canary: NodeProgress) -> None:
        """Note it at the offer that the canary has the release from; blocks on the database."""
        earlier = self._earlier_offer(canary)
        offer_id = earlier.id if earlier is not None else self._deployed.id
        self._releases.note_withdrawal(canary.node, [offer_id], self._deployed.stopped, datetime.now(UTC))

    async def _let_go(self, one: NodeProgress) -> None:
        """Let the canary do without the model and wait until it tells so; leave word where it does not."""
        if not self._fleet.is_online(one.node):
            one.state, one.reason = "away", "it cannot be asked now"
        elif self._has_the_model(one.node):
            await asyncio.gather(ask_to_go_back(self._fleet, one), refresh(self._fleet, [one]))
        elif one.state == "shadowed":
            await asyncio.gather(ask_to_end_shadow(self._fleet, one), refresh(self._fleet, [one]))
        else:
            one.state = "stopped"
        if one.state == "rolled_back":
            return
        await leave_word(self._fleet, one, self._request.release, self._deployed.stopped)
        if one.state == "refused":
            one.reason += "; it still has the model"
        elif one.state != "stopped":
            one.reason += "; it lets the model go by itself as soon as it is back"
