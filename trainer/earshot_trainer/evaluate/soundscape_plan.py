"""Soundscapes: events of a label laid into long negatives at known places and loudness, planned from a seed.

A plan is data: which pieces of which recordings, where, how loud. `soundscape_audio.render` makes the samples from it,
so recordings (their hash), rules and seed give the same audio again, and no more than one soundscape is in memory.
"""

import hashlib
import json
from collections import Counter
from dataclasses import asdict, dataclass, replace
from typing import Any

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.event_material import Piece, Sound

CHOSEN_SNR_DB = (10.0, 0.0)


@dataclass(frozen=True, slots=True)
class SoundscapeRules:
    """How soundscapes are made. Ranges are drawn from uniformly.

    Attributes:
        snr_db: every soundscape is made once at each, alike in all else. RMS of the event as mixed, from onset to
            offset, over the background's RMS in the same span.
        length_s: of a soundscape, as far as its background lasts; shorter backgrounds are not used.
        event_s: length of an event.
        level_dbfs: RMS of the whole soundscape, lower where its peak would exceed 0.99.
        lead_s: background alone before the first onset, at least.
        gap_s: between two events, at least.
        tail_s: after the last offset, at least.
        two_events_share: share of soundscapes that get a second event, where it fits.
        events_per_group: events of each original recording (group), however many clips were cut from it.
        crossfade_s: between pieces of one event.
        fade_s: at onset and offset.
        active_range_db, bridged_s, least_piece_s: an event's recording is cut to the parts within this range of its
            loudest; a quieter gap up to `bridged_s` stays in, a part shorter than `least_piece_s` is not used.
        long_events: take events from long recordings of the label as well. Their label is weak: something else may
            sound in them, too, and then the planned onset is none.
    """

    snr_db: tuple[float, ...] = CHOSEN_SNR_DB
    length_s: tuple[float, float] = (30.0, 60.0)
    event_s: tuple[float, float] = (4.0, 10.0)
    level_dbfs: tuple[float, float] = (-40.0, -20.0)
    lead_s: float = 4.0
    gap_s: float = 8.0
    tail_s: float = 3.0
    two_events_share: float = 0.5
    events_per_group: int = 8
    crossfade_s: float = 0.05
    fade_s: float = 0.01
    active_range_db: float = 18.0
    bridged_s: float = 0.5
    least_piece_s: float = 1.0
    long_events: bool = False

    def __post_init__(self) -> None:
        if self.lead_s + self.event_s[1] + self.tail_s > self.length_s[0]:
            raise ValueError("the longest event does not fit into the shortest soundscape")


@dataclass(frozen=True, slots=True)
class PlannedEvent:
    """Pieces of one group's recordings, one after the other with a crossfade; or a synthesized alarm.

    Attributes:
        group: the original recording, or the name of the alarm's signal.
        onset_sample, offset_sample: first sample of the soundscape that holds it, and first one after it.
    """

    group: str
    pieces: tuple[Sound, ...]
    onset_sample: int
    offset_sample: int

    @property
    def onset_s(self) -> float:
        """Seconds from the soundscape's beginning."""
        return self.onset_sample / SAMPLE_RATE_HZ

    @property
    def offset_s(self) -> float:
        """Seconds from the soundscape's beginning."""
        return self.offset_sample / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class SoundscapePlan:
    """One soundscape.

    Attributes:
        partition: the side of the data that all of its recordings come from.
        layout: number within the partition; the same at every SNR.
    """

    partition: str
    layout: int
    label: str
    background: Piece
    events: tuple[PlannedEvent, ...]
    snr_db: float
    level_dbfs: float
    crossfade_samples: int
    fade_samples: int

    @property
    def name(self) -> str:
        """Unique among the plans of one seed."""
        return f"{self.partition}-{self.layout:03d}{self.snr_db:+g}dB"

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.background.samples / SAMPLE_RATE_HZ

    @property
    def truth(self) -> list[tuple[float, float]]:
        """Onset and offset of every event, in seconds and in order."""
        return [(event.onset_s, event.offset_s) for event in self.events]

    @property
    def recordings(self) -> list[Recording]:
        """Everything that is heard in it."""
        pieces = [self.background, *(piece for event in self.events for piece in event.pieces)]
        return list(dict.fromkeys(piece.recording for piece in pieces if isinstance(piece, Piece)))

    def recording_of(self, event: PlannedEvent) -> Recording:
        """What stands for an event among recordings: the one that it begins with.

        A synthesized one counts as a recording of its signal that was made where its background was.
        """
        first = event.pieces[0]
        if isinstance(first, Piece):
            return first.recording
        labels = frozenset({self.label})
        return replace(self.background.recording, group=event.group, label=self.label, labels=labels)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types; recordings by name."""
        events = [
            {
                "group": event.group,
                "onset_s": event.onset_s,
                "offset_s": event.offset_s,
                "pieces": [piece.to_dict() for piece in event.pieces],
            }
            for event in self.events
        ]
        return {
            "name": self.name,
            "partition": self.partition,
            "label": self.label,
            "background": self.background.to_dict(),
            "events": events,
            "snr_db": self.snr_db,
            "level_dbfs": self.level_dbfs,
        }


@dataclass(frozen=True, slots=True)
class Soundscapes:
    """All plans of one seed, and what they were made by.

    Attributes:
        left_out: recordings that hold the label but give no event, with the reason.
        are_synthesized: the events are no recordings.
    """

    plans: tuple[SoundscapePlan, ...]
    label: str
    seed: int
    rules: SoundscapeRules
    left_out: dict[str, str]
    are_synthesized: bool = False

    @property
    def groups(self) -> tuple[str, ...]:
        """What the events were made of."""
        return tuple(sorted({event.group for plan in self.plans for event in plan.events}))

    def describe(self) -> dict[str, Any]:
        """Return the protocol as JSON types; `plan_sha256` stands for every choice that was made."""
        plans = json.dumps([plan.to_dict() for plan in self.plans], sort_keys=True)
        return {
            "seed": self.seed,
            "plan_sha256": hashlib.sha256(plans.encode()).hexdigest(),
            "soundscapes": len(self.plans),
            "soundscapes_of_partition": dict(Counter(plan.partition for plan in self.plans)),
            "hours": round(sum(plan.duration_s for plan in self.plans) / 3600, 4),
            "events_of": f"{len(self.groups)} {'synthesized signals' if self.are_synthesized else 'recordings'}",
            "groups": list(self.groups),
            "backgrounds": len({plan.background.recording for plan in self.plans}),
            "left_out": self.left_out,
            "rules": asdict(self.rules),
        }
