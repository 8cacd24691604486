"""A clip: audio around one event, and what is known about it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.flac import encode_flac
from earshot_node.contract.messages import EventMessage, Time
from earshot_node.ring import Pcm

CLIP_SCHEMA: Final = 1


class ClipInfo(BaseModel):
    """The JSON beside a clip.

    Attributes:
        begin: wall time of the clip's first sample.
        onset_s: position of the event's onset in the clip.
        offset_s: position of its offset in the clip; None for an event that lasted longer than clips may.
        event: the latest message about it.
    """

    model_config = ConfigDict(frozen=True)

    schema_: Literal[1] = Field(default=CLIP_SCHEMA, alias="schema")
    begin: Time
    duration_s: float
    onset_s: float
    offset_s: float | None
    event: EventMessage


@dataclass(frozen=True, slots=True)
class Clip:
    """Audio around one event.

    Attributes:
        info: what is known about it.
        flac: 16 kHz mono, 16 bit, FLAC.
    """

    info: ClipInfo
    flac: bytes

    @property
    def name(self) -> str:
        """File name without suffix: sorts by time, names source and label, and holds the event's id."""
        return clip_name(self.info.event)


def clip_name(event: EventMessage) -> str:
    """Return the file name without suffix of an event's clip; see `Clip.name`."""
    return f"{event.onset:%Y%m%dT%H%M%S}-{event.source}-{event.event_type}-{event.id[:8]}"


def encode_clip(pcm: Pcm, begin: datetime, event: EventMessage) -> Clip:
    """Compress int16[n], whose first sample is of `begin`, and describe it."""
    info = ClipInfo(
        begin=begin,
        duration_s=round(len(pcm) / SAMPLE_RATE_HZ, 4),
        onset_s=round((event.onset - begin).total_seconds(), 4),
        offset_s=round((event.offset - begin).total_seconds(), 4) if event.offset is not None else None,
        event=event,
    )
    return Clip(info, encode_flac(pcm))
