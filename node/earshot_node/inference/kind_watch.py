"""Says of a siren that still sounds which kind it is, as soon as that is clear.

    onset reported -> a look every LOOK_EVERY_S -> two looks in a row agree -> its kind, once

Few sirens are long enough at their report to be named (`siren_kind`), and a household may want to act on the kind
before the siren is over. Looks are at fixed times after the onset: how audio is cut does not change the answer.
"""

from typing import Final

from earshot_node.contract.names import SirenKind
from earshot_node.inference.siren_kind import KindCollector

FIRST_LOOK_S: Final = 1.5
LOOK_EVERY_S: Final = 0.5
LAST_LOOK_S: Final = 10.0
"""After the onset; a siren that cannot be named by then is named when it ends, if at all. The longer what is looked at,
the more it costs."""


class KindWatch:
    """Looks at one reported siren.

    Args:
        onset_s: when it began.
        reported_s: when its onset was reported; earlier looks are not made.
        kind: what was known by then.
    """

    def __init__(self, onset_s: float, reported_s: float, kind: SirenKind = "unknown") -> None:
        self.onset_s = onset_s
        self._looks = 0
        while self._look_s <= reported_s:
            self._looks += 1
        self._seen: SirenKind = "unknown"
        self._is_clear = False
        self.kind = kind
        """What two looks in a row agreed on, before that what was known at the report."""

    @property
    def _look_s(self) -> float:
        return self.onset_s + FIRST_LOOK_S + LOOK_EVERY_S * self._looks

    def advance(self, kinds: KindCollector, until_s: float) -> float | None:
        """Look as often as is due by `until_s`; return the time of the look by which another kind is clear, once.

        Stream times; `kinds` has heard up to `until_s`.
        """
        while not self._is_clear and self._look_s <= min(until_s, self.onset_s + LAST_LOOK_S):
            look_s = self._look_s
            self._looks += 1
            before, self._seen = self._seen, kinds.kind(self.onset_s, look_s, look_s)
            if self._seen == before != "unknown":
                self._is_clear = True
                if self._seen != self.kind:
                    self.kind = self._seen
                    return look_s
        return None
