"""From samples to a recording: what was captured, measured and compressed, before it has a place on the disk."""

import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.flac import decode_flac, encode_flac
from earshot_node.audio.level import SILENCE_DBFS
from earshot_node.clips.clip import Clip
from earshot_node.contract.config import Source
from earshot_node.contract.recordings import Candidate, Labelling, Origin, RecordingInfo
from earshot_node.ring import Pcm

FULL_SCALE: Final = 32767


@dataclass(frozen=True, slots=True)
class Loudness:
    """Levels of a piece of audio.

    Attributes:
        level_dbfs: root mean square; -120 is silence.
        peak_dbfs: highest sample.
        clipped_share: share of samples at full scale.
    """

    level_dbfs: float
    peak_dbfs: float
    clipped_share: float


def measure(pcm: Pcm) -> Loudness:
    """Measure int16[n]."""
    if not len(pcm):
        return Loudness(SILENCE_DBFS, SILENCE_DBFS, 0.0)
    values = np.abs(pcm.astype(np.float64))
    power = float(np.mean((values / 32768.0) ** 2))
    peak = float(values.max()) / 32768.0
    return Loudness(
        level_dbfs=round(max(SILENCE_DBFS, 10 * np.log10(power)), 1) if power > 0 else SILENCE_DBFS,
        peak_dbfs=round(max(SILENCE_DBFS, 20 * np.log10(peak)), 1) if peak > 0 else SILENCE_DBFS,
        clipped_share=round(float(np.mean(values >= FULL_SCALE)), 6),
    )


@dataclass(frozen=True, slots=True)
class Draft:
    """A recording that is not on the disk yet.

    Attributes:
        flac: its audio.
        described: fields of `RecordingInfo`, all but the labelling.
    """

    flac: bytes
    described: dict[str, Any] = field(repr=False)

    def info(self, labelling: Labelling | None, candidate: Candidate | None = None) -> RecordingInfo:
        """Return the JSON of the recording that this becomes."""
        return RecordingInfo(**self.described, labelling=labelling, candidate=candidate)

    @property
    def duration_s(self) -> float:
        """Length of the audio."""
        return float(self.described["duration_s"])


def draft_from_samples(pcm: Pcm, begin: datetime, node: str, source: Source, origin: Origin = "take") -> Draft:
    """Describe and compress int16[n] of 16 kHz, n > 0, whose first sample is of `begin`."""
    flac = encode_flac(pcm)
    return Draft(flac, _described(pcm, flac, begin, origin) | _place(node, source))


def draft_from_clip(clip: Clip, node: str, source: Source | None) -> Draft:
    """Describe the clip of an event; `source` is None if the configuration has it no more."""
    samples, _ = decode_flac(clip.flac)
    pcm = np.round(samples * 32768.0).clip(-32768, 32767).astype(np.int16)
    event = clip.info.event
    place = _place(node, source) if source is not None else {"node": node, "source": event.source}
    about = {"event": event, "onset_s": clip.info.onset_s, "offset_s": clip.info.offset_s}
    return Draft(clip.flac, _described(pcm, clip.flac, clip.info.begin, "event") | place | about)


def _described(pcm: Pcm, flac: bytes, begin: datetime, origin: Origin) -> dict[str, Any]:
    loudness = measure(pcm)
    begin = begin.astimezone(UTC)
    return {
        "id": f"{begin:%Y%m%dT%H%M%S}{begin.microsecond // 1000:03d}-{secrets.token_hex(4)}",
        "origin": origin,
        "begin": begin,
        "duration_s": round(len(pcm) / SAMPLE_RATE_HZ, 4),
        "rate_hz": SAMPLE_RATE_HZ,
        "level_dbfs": loudness.level_dbfs,
        "peak_dbfs": loudness.peak_dbfs,
        "clipped_share": loudness.clipped_share,
        "sha256": hashlib.sha256(flac).hexdigest(),
        "size_bytes": len(flac),
    }


def _place(node: str, source: Source) -> dict[str, Any]:
    return {"node": node, "source": source.id, "source_type": source.type, "gain_db": source.gain_db}
