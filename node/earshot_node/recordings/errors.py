"""Why something is not recorded or not found."""

from earshot_node.errors import OperatorError, PeerError


class NoRoomError(OperatorError):
    """The recordings' quota or the disk is full of what must not be deleted."""


class NotTurnedOnError(OperatorError):
    """Nothing is kept unasked: the owner has not turned it on."""

    def __init__(self) -> None:
        super().__init__(
            "this node keeps nothing unasked: its owner turns that on with `recordings.auto.enabled: true` "
            "in the node's configuration, and restarts the node"
        )


class UnknownRecordingError(PeerError):
    """There is no such recording, clip or take (any more)."""


class ConflictError(PeerError):
    """The recording is not what the other side believes it to be, or is busy."""
