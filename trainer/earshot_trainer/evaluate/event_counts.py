"""How many events the node's detector finds at many operating points at once, without running it at each.

For one `leave` and bridging, the frames at or above `leave` form regions: runs that gaps of up to the bridging do not
part. A region holds at most one event: from its first frame at or above `enter` to its last, if that is long enough or
a frame reaches `certain`.
The cooldown is left out; it can only hold back events, and never the first of a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
NEVER = np.iinfo(np.int64).max
"""A frame that does not come."""


@dataclass(frozen=True, slots=True)
class JoinedTracks:
    """Posteriors of many tracks end to end, apart by silence that no bridging spans.

    Attributes:
        values: float64[frames].
        track: int64[frames], the track's index; -1 between tracks.
        tracks: number of tracks.
    """

    values: Floats
    track: Integers
    tracks: int

    @classmethod
    def of(cls, posteriors: Sequence[NDArray[np.float32]], apart_frames: int) -> "JoinedTracks":
        """Join float32[frames] each; `apart_frames` must exceed every bridging."""
        values: list[Floats] = []
        track: list[Integers] = []
        for index, row in enumerate(posteriors):
            values += [row.astype(np.float64), np.full(apart_frames, -1.0)]
            track += [np.full(len(row), index), np.full(apart_frames, -1)]
        return cls(
            np.concatenate(values) if values else np.zeros(0),
            np.concatenate(track) if track else np.zeros(0, np.int64),
            len(posteriors),
        )

    def above(self, level: float) -> "JoinedTracks":
        """Return the same without tracks that never reach `level`; their indices are kept."""
        reached = np.zeros(self.tracks + 1, dtype=bool)
        reached[self.track[self.values >= level]] = True
        reached[-1] = True
        kept = reached[self.track]
        return JoinedTracks(self.values[kept], self.track[kept], self.tracks)


@dataclass(frozen=True, slots=True)
class FoundEvents:
    """The events that one `leave` and bridging make of the tracks, whatever the minimum length.

    Attributes:
        track: int64[regions], ascending.
        frames: int64[regions, enters], frames from the first at or above `enter` to the region's last; 0 without one.
        unsure: int64[regions, enters, certains], frames from the first at or above `enter` to the first at or above
            `certain`, both counted; `NEVER` without one.
    """

    track: Integers
    frames: Integers
    unsure: Integers

    def reported_after(self, least_frames: Sequence[int]) -> Integers:
        """Return int64[regions, lengths, enters, certains]: frames until an event is reported, `NEVER` if it is not.

        A gap that is bridged while an event reaches its minimum length is not counted.
        """
        least = np.asarray(least_frames, np.int64)[:, None]
        lasting = np.where(self.frames[:, None, :] >= least, least, NEVER)
        return np.minimum(lasting[..., None], self.unsure[:, None])

    def by_track(self, of_regions: NDArray[Any], tracks: int) -> Integers:
        """Return the sums of [regions, ...] in every track: int64[tracks, ...]."""
        sums = np.zeros((tracks, *of_regions.shape[1:]), np.int64)
        if len(self.track):
            first = np.flatnonzero(np.diff(self.track, prepend=-1))
            sums[self.track[first]] = np.add.reduceat(of_regions, first, axis=0, dtype=np.int64)
        return sums


def find_events(
    joined: JoinedTracks, leave: float, bridging_frames: int, enters: Sequence[float], certains: Sequence[float]
) -> FoundEvents:
    """Return the regions at `leave`, and what every `enter` (at least `leave`) and `certain` make of each.

    Both ascend. A `certain` below an `enter` counts as that `enter`.
    """
    active = np.flatnonzero(joined.values >= leave)
    if not len(active):
        none = np.zeros((0, len(enters), len(certains)), np.int64)
        return FoundEvents(none[:, 0, 0], none[..., 0], none)
    begins = np.diff(active, prepend=active[0] - bridging_frames - 2) > bridging_frames + 1
    region = np.cumsum(begins) - 1
    last = active[np.append(np.flatnonzero(begins)[1:] - 1, len(active) - 1)]

    def firsts(level: float) -> Integers:
        """Of each region the first frame at or above a level, `NEVER` without one."""
        reaching = joined.values[active] >= level
        found = np.full(len(last), NEVER)
        found[region[reaching][::-1]] = active[reaching][::-1]
        return found

    entered = np.stack([firsts(enter) for enter in enters], axis=1)
    sure = np.stack([firsts(certain) for certain in certains], axis=1)
    frames = np.where(entered < NEVER, last[:, None] - entered + 1, 0)
    sure_after = np.maximum(sure[:, None, :], entered[:, :, None])
    unsure = np.where(sure_after < NEVER, sure_after - entered[:, :, None] + 1, NEVER)
    return FoundEvents(joined.track[last], frames, unsure)
