"""Asks nodes to go back to their previous model, or to end a trial in the shadow; takes offers back."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final

from sqlalchemy import Engine

from earshot_node.contract.messages import Command
from earshot_trainer.catalogue.releases import Releases
from earshot_trainer.deploying.deployment import NodeProgress
from earshot_trainer.deploying.registering import current_user
from earshot_trainer.deploying.watched_fleet import WatchedFleet

ANSWER_WITHIN_S: Final = 30.0
DONE_WITHIN_S: Final = 180.0


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
            one.state = "away"
            one.reason = "it cannot be asked now" + ("; what was offered to it is taken back" if offer else "")
    tell(all_progress)
    asking = (_ask(fleet, one) for one in all_progress if one.state != "away")
    await asyncio.gather(*asking, _refresh(fleet, all_progress))
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
            one.state, one.reason = "away", "it cannot be asked now; once more when it is back"
    tell(all_progress)
    asking = (_ask_to_end_shadow(fleet, one) for one in all_progress if one.state != "away")
    await asyncio.gather(*asking, _refresh(fleet, all_progress))
    why = f"its trial in the shadow was ended by {current_user()}"
    for one in all_progress:
        offer = latest.get(one.node)
        if one.state == "rolled_back" and offer is not None and offer.mode == "shadow":
            await asyncio.to_thread(releases.note_withdrawal, one.node, [offer.id], why, datetime.now(UTC))
    tell(all_progress)
    return all_progress


async def _refresh(fleet: WatchedFleet, nodes: Sequence[NodeProgress]) -> None:
    """Take in what comes, for as long as somebody waits for it."""
    while any(one.state in ("pending", "offered") for one in nodes):
        await fleet.changed()


async def _is_taken(fleet: WatchedFleet, one: NodeProgress, name: str) -> bool:
    """Give a node a command; tell whether it has taken it, else why not."""
    command = Command(id=secrets.token_hex(8))
    one.state = "offered"
    await fleet.command(one.node, name, command)
    if not await _true_within(lambda: command.id in fleet.replies, ANSWER_WITHIN_S):
        one.state, one.reason = "late", f"it did not answer within {ANSWER_WITHIN_S:.0f} s"
        return False
    reply = fleet.replies[command.id]
    if not reply.ok:
        one.state, one.reason = "refused", reply.reason
    return reply.ok


async def _ask_to_end_shadow(fleet: WatchedFleet, one: NodeProgress) -> None:
    if not await _is_taken(fleet, one, "end_shadow"):
        return
    if await _true_within(lambda: fleet.view(one.node).shadow is None, DONE_WITHIN_S):
        one.state, one.reason = "rolled_back", "nothing runs in the shadow"
    else:
        one.state, one.reason = "late", f"the model in the shadow has not ended within {DONE_WITHIN_S:.0f} s"


async def _ask(fleet: WatchedFleet, one: NodeProgress) -> None:
    before = fleet.view(one.node).result
    if not await _is_taken(fleet, one, "roll_back_model"):
        return

    def is_told() -> bool:
        result = fleet.view(one.node).result
        return result is not None and result != before and result.outcome == "rolled_back"

    if await _true_within(is_told, DONE_WITHIN_S):
        result = fleet.view(one.node).result
        assert result is not None
        one.state, one.reason = "rolled_back", f"{result.active} decides"
    else:
        one.state, one.reason = "late", f"it has not gone back within {DONE_WITHIN_S:.0f} s"


async def _true_within(condition: Callable[[], bool], within_s: float) -> bool:
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not condition():
        if loop.time() >= until_s:
            return False
        await asyncio.sleep(0.1)
    return True
