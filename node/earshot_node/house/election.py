"""Who runs the house: the latest `HouseOwner` at the broker decides, for all who read it. Pure; time is given.

Everyone who would run it reads the topic, also its own message: the broker puts all messages on it into one order, so
that everybody sees the same last one. Whoever does not find itself there stands by, and takes over when the owner has
been away for long.

    WAITING --settled, nobody there--> claims --hears its own name--> OWNER
    WAITING --hears another name--> STANDBY --owner away for TAKEOVER_S--> claims        OWNER --another name--> STANDBY
"""

from enum import Enum
from math import inf
from typing import Final

SETTLE_S: Final = 2.0
"""What lies at the broker has come by then, usually in milliseconds."""
CLAIM_AGAIN_S: Final = 5.0
TAKEOVER_S: Final = 60.0
"""A node that is started anew is back before."""


class Role(Enum):
    """What one who would run the house does."""

    WAITING = "waiting"
    OWNER = "owner"
    STANDBY = "standby"


class Election:
    """One candidate's view.

    Args:
        me: name of this one; nobody else at the broker has it.
        settle_s: how long to wait for what lies at the broker.
    """

    def __init__(self, me: str, *, settle_s: float = SETTLE_S) -> None:
        self._me = me
        self._settle_s = settle_s
        self._settled_s = inf
        self._claimed_s = -inf
        self._online: dict[str, bool] = {}
        self._away_since_s = inf
        self.owner: str | None = None
        self.role = Role.WAITING

    def connected(self, now_s: float) -> None:
        """The broker is reached: what lies there comes now."""
        self._settled_s = now_s + self._settle_s
        self._away_since_s = now_s
        self._claimed_s = -inf
        self._online.clear()
        self.owner = None
        self.role = Role.WAITING

    def disconnected(self) -> None:
        """Nothing is known any more."""
        self._settled_s = inf
        self.role = Role.WAITING

    def named(self, owner: str | None, now_s: float) -> None:
        """The topic says who runs it; None: it was emptied."""
        if owner != self.owner:
            self._away_since_s = now_s
        self.owner = owner
        if owner is None:
            self.role = Role.WAITING
        else:
            self.role = Role.OWNER if owner == self._me else Role.STANDBY

    def alive(self, instance: str, now_s: float, *, online: bool) -> None:
        """Somebody who runs the house, or would, is there or is not."""
        if instance == self.owner and self._online.get(instance) and not online:
            self._away_since_s = now_s
        self._online[instance] = online

    def settled(self, now_s: float) -> bool:
        """Whether what lay at the broker has come."""
        return now_s >= self._settled_s

    def claims(self, now_s: float) -> bool:
        """Return whether to say now that this one runs it."""
        if self.role is Role.OWNER or not self.settled(now_s) or now_s - self._claimed_s < CLAIM_AGAIN_S:
            return False
        if self.owner is not None and (self._online.get(self.owner) or now_s - self._away_since_s < TAKEOVER_S):
            return False
        self._claimed_s = now_s
        return True

    @property
    def rival(self) -> str:
        """Who runs it and is there, while this one stands by; '' for nobody."""
        owner = self.owner
        return owner if self.role is Role.STANDBY and owner is not None and self._online.get(owner) else ""
