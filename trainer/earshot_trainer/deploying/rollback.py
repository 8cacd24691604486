"""Asks nodes to go back to their previous model, or to end a trial in the shadow; takes offers back.

Nodes that are away cannot be asked: they find word of it when they are back.
"""

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy import Engine

from earshot_trainer.catalogue.releases import Offer, Releases
from earshot_trainer.deploying.going_back import ask_to_end_shadow, ask_to_go_back, leave_word, refresh
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.deploying.registering import current_user
from earshot_trainer.deploying.watched_fleet import WatchedFleet


async def roll_back(
    fleet: WatchedFleet,
    engine: Engine,
    nodes: Sequence[str],
    tell: Callable[[Sequence[NodeProgress]], None] = lambda _: None,
) -> list[NodeProgress]:
    """Do it and return how each node ended: `rolled_back`, `refused` with its reason, `away` or `late`.

    Raises:
        OperatorError: broker or catalogue cannot be used.
    """
    releases = Releases(engine)
    all_progress = [NodeProgress(node) for node in nodes]
    latest = await asyncio.to_thread(releases.latest_offers)
    for one in all_progress:
        offer = latest.get(one.node)
        if offer is not None and offer.mode == "shadow":
            offer = None  # it decides nothing, and goes on
        if offer is not None and not offer.withdrawn:
            await fleet.take_back(one.node)
            why = f"rolled back by {current_user()}"
            await asyncio.to_thread(releases.note_withdrawal, one.node, [offer.id], why, datetime.now(UTC))
        if not fleet.is_online(one.node):
            await _tell_later(fleet, releases, one, offer)
    tell(all_progress)
    asking = (ask_to_go_back(fleet, one) for one in all_progress if one.state != "away")
    await asyncio.gather(*asking, refresh(fleet, all_progress))
    tell(all_progress)
    return all_progress


async def end_shadow(
    fleet: WatchedFleet,
    engine: Engine,
    nodes: Sequence[str],
    tell: Callable[[Sequence[NodeProgress]], None] = lambda _: None,
) -> list[NodeProgress]:
    """Let no candidate run in the shadow; return how each node ended, as `roll_back` does.

    Raises:
        OperatorError: broker or catalogue cannot be used.
    """
    releases = Releases(engine)
    all_progress = [NodeProgress(node) for node in nodes]
    latest = await asyncio.to_thread(releases.latest_offers)
    for one in all_progress:
        offer = latest.get(one.node)
        if offer is not None and not offer.withdrawn and offer.mode == "shadow":
            await fleet.take_back(one.node)
        if not fleet.is_online(one.node):
            await _tell_later(fleet, releases, one, offer if offer is not None and offer.mode == "shadow" else None)
    tell(all_progress)
    asking = (ask_to_end_shadow(fleet, one) for one in all_progress if one.state != "away")
    await asyncio.gather(*asking, refresh(fleet, all_progress))
    why = f"its trial in the shadow was ended by {current_user()}"
    for one in all_progress:
        offer = latest.get(one.node)
        if one.state in ("rolled_back", "away") and offer is not None and offer.mode == "shadow":
            await asyncio.to_thread(releases.note_withdrawal, one.node, [offer.id], why, datetime.now(UTC))
    tell(all_progress)
    return all_progress


async def _tell_later(fleet: WatchedFleet, releases: Releases, one: NodeProgress, offer: Offer | None) -> None:
    """A node is away: leave word that it lets go what was last offered to it, unless it has refused or left that."""
    one.state, one.reason = "away", "it cannot be asked now"
    if offer is None or offer.outcome in ("refused", "rolled_back"):
        return
    release = await asyncio.to_thread(releases.find, offer.sha256)
    if release is not None:
        await leave_word(fleet, one, release, f"rolled back by {current_user()}")
        one.reason += f"; it lets {release.version} go by itself as soon as it is back"
