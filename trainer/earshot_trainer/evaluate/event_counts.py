"""How many events the node's detector finds at many operating points at once, without running it at each.

For one `leave` and bridging, the frames at or above `leave` form regions: runs that gaps of up to the bridging do not
part. A region holds at most one event: from its first frame at or above `enter` to its last, if that is long enough or
a frame exceeds `certain`.
The cooldown is left out; it can only hold back events, and never the first of a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]


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
        values, track = [np.zeros(0)], [np.zeros(0, np.int64)]
        for index, row in enumerate(posteriors):
            values += [row.astype(np.float64), np.full(apart_frames, -1.0)]
            track += [np.full(len(row), index), np.full(apart_frames, -1)]
        return cls(np.concatenate(values), np.concatenate(track), len(posteriors))

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
        length: int64[regions, enters], frames from the first at or above `enter` to the region's last; 0 without one.
        is_certain: bool[regions, enters, certains], of an event a frame of which is above `certain`.
    """

    track: Integers
    length: Integers
    is_certain: Flags

    def reported(self, least_frames: Sequence[int]) -> Flags:
        """Return bool[regions, lengths, enters, certains]: is there an event that lasts so long or is certain?"""
        lasting = self.length[:, None, :] >= np.asarray(least_frames, np.int64)[:, None]
        return np.asarray(lasting[..., None] | self.is_certain[:, None], np.bool_)

    def reported_by_track(self, least_frames: Sequence[int], tracks: int) -> Integers:
        """Return int64[tracks, lengths, enters, certains]: events in every track."""
        reported = self.reported(least_frames)
        counts = np.zeros((tracks, *reported.shape[1:]), np.int64)
        if len(self.track):
            first = np.flatnonzero(np.diff(self.track, prepend=-1))
            counts[self.track[first]] = np.add.reduceat(reported, first, axis=0, dtype=np.int64)
        return counts


def find_events(
    joined: JoinedTracks, leave: float, bridging_frames: int, enters: Sequence[float], certains: Sequence[float]
) -> FoundEvents:
    """Return the regions at `leave`, and what each `enter` (ascending, at least `leave`) and `certain` make of them."""
    active = np.flatnonzero(joined.values >= leave)
    if not len(active):
        none = np.zeros((0, len(enters), len(certains)), np.bool_)
        return FoundEvents(np.zeros(0, np.int64), none[..., 0].astype(np.int64), none)
    begins = np.diff(active, prepend=active[0] - bridging_frames - 2) > bridging_frames + 1
    region = np.cumsum(begins) - 1
    last = active[np.append(np.flatnonzero(begins)[1:] - 1, len(active) - 1)]
    highest = np.maximum.reduceat(joined.values[active], np.flatnonzero(begins))
    length = np.zeros((len(last), len(enters)), np.int64)
    for column, enter in enumerate(enters):
        entered = joined.values[active] >= enter
        active, region = active[entered], region[entered]
        first = np.flatnonzero(np.diff(region, prepend=-1))
        length[region[first], column] = last[region[first]] - active[first] + 1
    is_certain = (length > 0)[..., None] & (highest[:, None, None] > np.asarray(certains))
    return FoundEvents(joined.track[last], length, is_certain)
