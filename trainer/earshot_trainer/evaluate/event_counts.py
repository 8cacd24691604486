"""How many events the node's detector finds at many operating points at once, without running it at each.

For one `leave` and bridging, the frames at or above `leave` form regions: runs that gaps of up to the bridging do not
part. A region holds at most one event: from its first frame at or above `enter` to its last, if that is long enough.
The cooldown is left out; it can only hold back events, and never the first of a track.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


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
class EventLengths:
    """What one `leave` and bridging make of the tracks.

    Attributes:
        track: int64[regions], ascending.
        frames: int64[regions, enters], frames from the first at or above `enter` to the region's last; 0 without one.
    """

    track: Integers
    frames: Integers

    def events(self, least_frames: int) -> Integers:
        """Return int64[enters]: events of at least so many frames."""
        return np.asarray((self.frames >= least_frames).sum(axis=0), np.int64)

    def events_by_track(self, least_frames: int, tracks: int) -> Integers:
        """Return int64[tracks, enters]."""
        counts = np.zeros((tracks, self.frames.shape[1]), np.int64)
        np.add.at(counts, self.track, self.frames >= least_frames)
        return counts


def event_lengths(joined: JoinedTracks, leave: float, bridging_frames: int, enters: Sequence[float]) -> EventLengths:
    """Return the regions at `leave` and how long an event in each is at every `enter` (ascending, at least `leave`)."""
    active = np.flatnonzero(joined.values >= leave)
    if not len(active):
        return EventLengths(np.zeros(0, np.int64), np.zeros((0, len(enters)), np.int64))
    begins = np.diff(active, prepend=active[0] - bridging_frames - 2) > bridging_frames + 1
    region = np.cumsum(begins) - 1
    last = active[np.append(np.flatnonzero(begins)[1:] - 1, len(active) - 1)]
    lengths = np.zeros((len(last), len(enters)), np.int64)
    for column, enter in enumerate(enters):
        entered = joined.values[active] >= enter
        active, region = active[entered], region[entered]
        first = np.flatnonzero(np.diff(region, prepend=-1))
        lengths[region[first], column] = last[region[first]] - active[first] + 1
    return EventLengths(joined.track[last], lengths)
