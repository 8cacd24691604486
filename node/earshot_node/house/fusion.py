"""One alarm out of many: what nodes say goes in, when the house hears a siren comes out. Pure; time is given.

1. A microphone counts while its node is online and says ON, which the node repeats; what is not repeated has ended.
2. The siren begins for the house when as many microphones as are needed have heard it within the window, and one of
   them still does. Where fewer listen than are needed, all that listen are enough: a dead node silences no house.
3. It goes on as long as any microphone hears it, and ends when none has for the quiet time: rooms hear it in turn.
4. What a microphone heard before the last end does not count for the next beginning.

All times are when the house received something, never what a node's clock says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from earshot_node.contract.house import Movement
from earshot_node.house.microphone import STALE_S, Key, Microphone, is_flat

MAX_MICROPHONES: Final = 2_000


@dataclass(frozen=True, slots=True)
class Began:
    """The house hears a siren, since `at_s`."""

    at_s: float


@dataclass(frozen=True, slots=True)
class Ended:
    """The house has heard it until `at_s`."""

    at_s: float


Change = Began | Ended


class Fusion:
    """Takes what nodes say; `advance` after each word and about once a second.

    Args:
        needed: microphones that must hear it.
        window_s: within this time.
        quiet_s: after so long without any it is over.
    """

    def __init__(self, needed: int, window_s: float, quiet_s: float) -> None:
        self._needed = needed
        self._window_s = window_s
        self._quiet_s = quiet_s
        self._online: set[str] = set()
        self._microphones: dict[Key, Microphone] = {}
        self._part: dict[Key, None] = {}
        self._ended_s = -inf
        self._movement: Movement = "unknown"
        self.sounds = False

    @property
    def listening(self) -> list[Microphone]:
        """Microphones of nodes that are online, and that hear."""
        return [one for one in self._microphones.values() if one.node in self._online and one.is_well]

    @property
    def away(self) -> list[Microphone]:
        """The others."""
        return [one for one in self._microphones.values() if one.node not in self._online or not one.is_well]

    @property
    def needed(self) -> int:
        """How many must hear it, as things are."""
        return max(1, min(self._needed, len(self.listening)))

    @property
    def part(self) -> list[Microphone]:
        """Microphones that have heard the present or last siren, the loudest first."""
        found = [self._microphones[key] for key in self._part if key in self._microphones]
        return sorted(found, key=lambda one: -inf if one.loudest_dbfs is None else one.loudest_dbfs, reverse=True)

    def sounding(self, now_s: float) -> list[Microphone]:
        """Microphones that hear it now."""
        return [one for one in self._microphones.values() if self._is_sounding(one, now_s)]

    def status(self, node: str, now_s: float, *, online: bool) -> None:
        """A node is online, or is not; then it hears nothing."""
        if online:
            self._online.add(node)
            return
        for one in self._microphones.values():
            if one.node == node:
                self._silence(one, now_s)
        self._online.discard(node)

    def info(self, node: str, sources: Mapping[str, tuple[str, str]]) -> None:
        """A node tells its sources: name and room by id; others of it are gone."""
        for source, (name, room) in sources.items():
            one = self._get(node, source)
            if one is not None:
                one.name, one.room = name, room
        for gone in [key for key in self._microphones if key[0] == node and key[1] not in sources]:
            del self._microphones[gone]

    def forget(self, node: str) -> None:
        """A node was taken out of the house."""
        self._online.discard(node)
        for key in [key for key in self._microphones if key[0] == node]:
            del self._microphones[key]

    def health(self, node: str, source: str, *, is_well: bool) -> None:
        """A source hears, or does not."""
        one = self._get(node, source)
        if one is not None:
            one.is_well = is_well

    def level(self, node: str, source: str, dbfs: float, now_s: float) -> None:
        """The sound level at a source."""
        one = self._get(node, source)
        if one is not None:
            one.hear_level(dbfs, now_s)

    def state(self, node: str, source: str, now_s: float, *, is_on: bool) -> None:
        """A source hears a siren, or does not; said at each change and again while it lasts."""
        one = self._get(node, source)
        if one is None:
            return
        if is_on:
            one.turn_on(now_s)
        else:
            self._silence(one, now_s)

    def details(self, node: str, source: str, confidence: int, level_dbfs: float) -> None:
        """What a node tells about its latest event."""
        one = self._get(node, source)
        if one is not None:
            one.confidence = confidence
            if one.loudest_dbfs is None:
                one.loudest_dbfs = level_dbfs

    def take_up(self, now_s: float) -> bool:
        """Go on with a siren that sounded before a restart; False if nobody hears it any more."""
        if not self.sounds and self.sounding(now_s):
            self.sounds = True
            self._part = {one.key: None for one in self.sounding(now_s)}
        return self.sounds

    def advance(self, now_s: float) -> list[Change]:
        """Return what has changed by now."""
        self._expire(now_s)
        sounding = self.sounding(now_s)
        if not self.sounds:
            since_s = max(now_s - self._window_s, self._ended_s)
            heard = [one for one in self._microphones.values() if one in sounding or one.off_s > since_s]
            if not sounding or len(heard) < self.needed:
                return []
            self.sounds = True
            self._movement = "unknown"
            self._part = {one.key: None for one in heard}
            return [Began(min(max(one.on_s, since_s) for one in heard))]
        self._part |= {one.key: None for one in sounding}
        last_s = now_s if sounding else max((one.off_s for one in self.part), default=self._ended_s)
        if now_s - last_s < self._quiet_s or sounding:
            return []
        self.sounds = False
        self._ended_s = now_s
        return [Ended(last_s if last_s > -inf else now_s)]

    def movement(self, now_s: float) -> Movement:
        """Return how the level goes where the siren is heard; the mean of all microphones that can tell."""
        slopes = [slope for one in self.sounding(now_s) if (slope := one.slope_db_s(now_s)) is not None]
        if not self.sounds or not slopes:
            self._movement = "unknown"
            return self._movement
        mean = sum(slope for slope, _ in slopes) / len(slopes)
        if any(clear for _, clear in slopes) and not is_flat(mean):
            self._movement = "approaching" if mean > 0 else "receding"
        elif is_flat(mean) or self._movement == "unknown":
            self._movement = "steady"
        return self._movement

    def _expire(self, now_s: float) -> None:
        for one in self._microphones.values():
            if one.is_on and now_s - one.told_s > STALE_S:
                self._silence(one, now_s)

    def _silence(self, one: Microphone, now_s: float) -> None:
        """What lay at the broker as ON of a node that is not there was never heard."""
        if one.node in self._online:
            one.turn_off(now_s)
        else:
            one.is_on = False

    def _is_sounding(self, one: Microphone, now_s: float) -> bool:
        return one.is_on and one.node in self._online and now_s - one.told_s <= STALE_S

    def _get(self, node: str, source: str) -> Microphone | None:
        key = (node, source)
        if key not in self._microphones and len(self._microphones) < MAX_MICROPHONES:
            self._microphones[key] = Microphone(node, source, source, source)
        return self._microphones.get(key)
