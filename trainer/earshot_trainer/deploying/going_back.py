"""Asks one node for something and waits until it tells that it is done; leaves word for one that is away."""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from typing import Final

from earshot_node.contract.deployment import MAX_SUMMARY_CHARS, ModelOffer
from earshot_node.contract.messages import Command
from earshot_trainer.catalogue.releases import Release
from earshot_trainer.deploying.progress import NodeProgress
from earshot_trainer.deploying.watched_fleet import WatchedFleet

ANSWER_WITHIN_S: Final = 30.0
DONE_WITHIN_S: Final = 180.0
SWITCHED_WITHIN_S: Final = 30.0


async def refresh(fleet: WatchedFleet, nodes: Sequence[NodeProgress]) -> None:
    """Take in what comes, for as long as somebody waits for it."""
    while any(one.state in ("pending", "offered") for one in nodes):
        await fleet.changed()


async def is_taken(fleet: WatchedFleet, one: NodeProgress, name: str) -> bool:
    """Give a node a command; tell whether it has taken it, else why not."""
    command = Command(id=secrets.token_hex(8))
    one.state = "offered"
    await fleet.command(one.node, name, command)
    if not await true_within(lambda: command.id in fleet.replies, ANSWER_WITHIN_S):
        one.state, one.reason = "late", f"it did not answer within {ANSWER_WITHIN_S:.0f} s"
        return False
    reply = fleet.replies[command.id]
    if not reply.ok:
        one.state, one.reason = "refused", reply.reason
    return reply.ok


async def ask_to_go_back(fleet: WatchedFleet, one: NodeProgress) -> None:
    """Ask a node for its former model; it ends `rolled_back`, `refused` or `late`, with the reason."""
    before, former = fleet.view(one.node).result, _decides(fleet, one.node)
    if not await is_taken(fleet, one, "roll_back_model"):
        return

    def is_told() -> bool:
        result = fleet.view(one.node).result
        return result is not None and result != before and result.outcome == "rolled_back"

    if not await true_within(is_told, DONE_WITHIN_S):
        one.state, one.reason = "late", f"it has not gone back within {DONE_WITHIN_S:.0f} s"
        return
    await true_within(lambda: _decides(fleet, one.node) != former, SWITCHED_WITHIN_S)  # told before the switch is over
    one.state, one.reason = "rolled_back", f"{_decides(fleet, one.node)} decides"


async def ask_to_end_shadow(fleet: WatchedFleet, one: NodeProgress) -> None:
    """Ask a node to let no candidate run in its shadow; it ends as `ask_to_go_back` does."""
    if not await is_taken(fleet, one, "end_shadow"):
        return
    if await true_within(lambda: fleet.view(one.node).shadow is None, DONE_WITHIN_S):
        one.state, one.reason = "rolled_back", "nothing runs in the shadow"
    else:
        one.state, one.reason = "late", f"the model in the shadow has not ended within {DONE_WITHIN_S:.0f} s"


async def leave_word(fleet: WatchedFleet, one: NodeProgress, release: Release, why: str) -> None:
    """Let a node that cannot be asked now do without a release as soon as it is back; nobody has to serve for that.

    The word lies at the broker in place of an offer until the next one, and is acted on once; a node that has not got
    the release only takes note of it.

    Raises:
        OperatorError: the broker does not take it.
    """
    word = ModelOffer(
        id=f"back-{secrets.token_hex(8)}",
        version=release.version,
        sha256=release.sha256,
        size_bytes=release.size_bytes,
        summary=" ".join(why.split())[:MAX_SUMMARY_CHARS],
        mode="take_back",
    )
    await fleet.offer(one.node, word)


def _decides(fleet: WatchedFleet, node: str) -> str:
    info = fleet.view(node).info
    return info.model.version if info is not None else "another model"


async def true_within(condition: Callable[[], bool], within_s: float) -> bool:
    """Wait for a condition; tell whether it came true in time."""
    loop = asyncio.get_running_loop()
    until_s = loop.time() + within_s
    while not condition():
        if loop.time() >= until_s:
            return False
        await asyncio.sleep(0.1)
    return True
