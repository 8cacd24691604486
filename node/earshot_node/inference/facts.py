"""What the pipeline tells: facts about a stream, in samples and frames."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.manifest import MEL_RANGE_HZ, MelRange
from earshot_node.contract.names import SIREN, SirenKind


@dataclass(frozen=True, slots=True)
class SoundEvent:
    """An event of one label in one stream.

    Attributes:
        label: class name.
        onset_s: stream time of its first frame's beginning.
        offset_s: stream time of its last frame's end; None while it lasts.
        peak: highest posterior so far, 0 to 1.
        kind: of a siren, as far as it can be told by now; None for other labels and where nobody estimates it.
    """

    label: str
    onset_s: float
    offset_s: float | None
    peak: float
    kind: SirenKind | None = None


@dataclass(frozen=True, slots=True)
class Onset:
    """An event is certain, or has lasted its minimum length, and is now reported.

    Attributes:
        decided_s: stream time of the frame that decided it.
    """

    source: str
    stream: int
    event: SoundEvent
    decided_s: float


@dataclass(frozen=True, slots=True)
class Offset:
    """A reported event has ended; `event.onset_s` tells which."""

    source: str
    stream: int
    event: SoundEvent
    decided_s: float


@dataclass(frozen=True, slots=True)
class KindTold:
    """The kind of a reported siren that lasts has become clear; told at most once.

    Attributes:
        onset_s: tells which.
        decided_s: stream time up to which it was heard.
    """

    source: str
    stream: int
    onset_s: float
    kind: SirenKind
    decided_s: float


@dataclass(frozen=True, slots=True)
class Frames:
    """Posteriors of consecutive hops of one source.

    Attributes:
        begin_s: stream time at which the first of them begins.
        posteriors: float32[n, labels].
        log_mel: float32[n * mel frames per hop, mels].
        level_dbfs: level of these hops.
        mel_range_hz: of the bands of `log_mel`.
        labels: of the columns; within a step another model may take over.
    """

    source: str
    stream: int
    begin_s: float
    posteriors: NDArray[np.float32]
    log_mel: NDArray[np.float32]
    level_dbfs: float
    mel_range_hz: MelRange = MEL_RANGE_HZ
    labels: tuple[str, ...] = (SIREN,)


@dataclass(frozen=True, slots=True)
class StreamReset:
    """Audio of a source was lost or it was opened again; model and detector start anew with `stream`."""

    source: str
    stream: int


Fact = Onset | Offset | KindTold | Frames | StreamReset
