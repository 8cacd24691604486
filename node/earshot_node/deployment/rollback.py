"""Back to the previous model."""

from earshot_node.deployment.slots import Slot, Slots, entry
from earshot_node.errors import OperatorError


def rolled_back(slots: Slots, reason: str) -> Slots:
    """Return the slots after the model that decides has failed: the previous one is active, the failed one is let go.

    A version that was rolled back is not taken again by itself: it stays the newest that ever decided.
    """
    return given_up(slots.decided_by(slots.active.version) if slots.active is not None else slots, reason)


def given_up(slots: Slots, reason: str) -> Slots:
    """Return the slots after a start that could not use the active model: as after `rolled_back`.

    But if it never decided before, its version is not used up, and what it took the place of goes on, a trial too.
    """
    if slots.replaced is not None and slots.active is not None:
        before = slots.without_pending
        return before.with_entry(entry("rolled_back", slots.active, before.active, reason))
    if slots.active is None or slots.previous is None:
        return slots.model_copy(update={"watch": None})
    after = slots.model_copy(update={"active": slots.previous, "previous": None, "watch": None})
    return after.with_entry(entry("rolled_back", slots.active, slots.previous, reason))


def undone(slots: Slots, before: Slots, candidate: Slot, reason: str) -> Slots:
    """Return the slots after a switch that did not come about: as they were before, but for what happened.

    The candidate never decided, so neither its version nor its offer is used up.
    """
    after = before.model_copy(update={"history": slots.history})
    return after.with_entry(entry("rolled_back", candidate, slots.previous, reason))


def swapped(slots: Slots, reason: str) -> Slots:
    """Return the slots after a person went back: active and previous change places, so going back twice is nothing.

    Raises:
        OperatorError: there is no previous model.
    """
    if slots.active is None or slots.previous is None:
        raise OperatorError("there is no previous model to go back to; `node-cli model list` shows what there is")
    after = slots.model_copy(
        update={"active": slots.previous, "previous": slots.active, "watch": None, "replaced": None}
    )
    return after.with_entry(entry("rolled_back", slots.active, slots.previous, reason))
