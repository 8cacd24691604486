"""Recordings: the JSON beside each one's audio, and what a node tells about all of them."""

import re
from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from earshot_node.contract.manifest import Sha256
from earshot_node.contract.messages import EventMessage, Message, Time
from earshot_node.contract.names import Label, Slug
from earshot_node.errors import MessageError

RECORDING_SCHEMA: Final = 1
RECORDINGS_NEEDED: Final = 20
"""Recordings of a label, and as many of background, that a retraining wants to begin with."""
TAKE_S: Final = 3.0
"""Usual length of a recording that is made on purpose."""
MAX_TAKE_S: Final = 60.0
MAX_LABELS: Final = 8
BACKGROUND: Final = "background"
"""What people call the empty label set: nothing of what is listened for sounds. Never a label in a file."""

_RECORDING_ID = re.compile(r"20[0-9]{6}T[0-9]{9}-[0-9a-f]{8}")

Origin = Literal["take", "event", "candidate"]
Labeller = Literal["command_line", "home_assistant", "http"]


def validate_recording_id(value: str) -> str:
    """Return `value` if it has the form of a recording's id: UTC time of its beginning, then eight hexadecimal digits.

    Raises:
        ValueError: otherwise.
    """
    if not _RECORDING_ID.fullmatch(value):
        raise ValueError(f"{value[:60]!r} is not a recording's id, such as '20261122T181500250-1f0c9a3e'")
    return value


RecordingId = Annotated[str, AfterValidator(validate_recording_id)]


class Labelling(BaseModel):
    """What somebody says is in a recording.

    Attributes:
        labels: what sounds in it. Empty with an empty `absent`: background, nothing of what is listened for.
        absent: labels that certainly do not sound, when nothing is said about the others ("not a siren").
        by: how it was said.
        user: who said it, as far as that is known; '' otherwise.
        time: when.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    labels: tuple[Label, ...] = Field(default=(), max_length=MAX_LABELS)
    absent: tuple[Label, ...] = Field(default=(), max_length=MAX_LABELS)
    by: Labeller
    user: str = Field(default="", max_length=80)
    time: Time

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        named = (*self.labels, *self.absent)
        if BACKGROUND in named:
            raise ValueError(f"{BACKGROUND!r} is the empty label set, not a label")
        if len(set(named)) != len(named):
            raise ValueError("a label is named twice")
        return self

    @property
    def title(self) -> str:
        """What people call it."""
        if self.labels:
            return " + ".join(self.labels)
        return "not " + ", not ".join(self.absent) if self.absent else BACKGROUND


class Candidate(BaseModel):
    """Why a node kept audio that nobody asked for.

    Attributes:
        reason: `detected`: an event; `uncertain`: a posterior below the operating point, but not by much.
        label: which.
        posterior: highest, 0 to 1.
        model: the model's version.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    reason: Literal["detected", "uncertain"]
    label: Label
    posterior: float = Field(ge=0, le=1)
    model: str


class RecordingInfo(BaseModel):
    """The JSON beside a recording's FLAC file (mono, 16 bit). Unknown fields are ignored.

    Attributes:
        revision: grows with each change of this JSON (a new labelling); the audio never changes.
        begin: wall time of the first sample.
        level_dbfs: root mean square over all of it; -120 is silence.
        peak_dbfs: the highest sample.
        gain_db: what the node's configuration had applied to the source.
        clipped_share: share of samples at full scale.
        sha256: of the FLAC file.
        size_bytes: of the FLAC file.
        labelling: None as long as nobody has said what it is.
        event: for audio around an event: the latest message about it.
        onset_s: position of the event's onset in the audio.
        offset_s: position of its offset; None if the audio ends before.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_: Literal[1] = Field(default=RECORDING_SCHEMA, alias="schema")
    id: RecordingId
    revision: int = Field(default=1, ge=1)
    origin: Origin
    node: Slug
    source: Slug
    source_type: str = Field(default="", max_length=40)
    begin: Time
    duration_s: float = Field(gt=0)
    rate_hz: int = Field(gt=0)
    level_dbfs: float = Field(allow_inf_nan=False)
    peak_dbfs: float = Field(allow_inf_nan=False)
    clipped_share: float = Field(ge=0, le=1)
    gain_db: float = 0.0
    sha256: Sha256
    size_bytes: int = Field(gt=0)
    labelling: Labelling | None = None
    candidate: Candidate | None = None
    event: EventMessage | None = None
    onset_s: float | None = None
    offset_s: float | None = None

    def encode(self) -> bytes:
        """Return the file's bytes: UTF-8 JSON, indented."""
        return (self.model_dump_json(by_alias=True, indent=1) + "\n").encode()

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Parse a recording's JSON.

        Raises:
            MessageError: with the field and what was expected.
        """
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "JSON"
            raise MessageError(f"{where}: {first['msg']}") from error


class RecordingsReport(Message):
    """How it stands with a node's recordings; retained.

    Attributes:
        waiting: labelled and not collected yet.
        candidates: kept unasked, not labelled and not collected.
        collected: collected, and still on the node for its retention.
        size_bytes: all of them.
        labels: labelled recordings by what people call it, `background` among them.
        problem: why nothing can be recorded, or why the last attempt failed; one line, '' when fine.
    """

    waiting: int = Field(ge=0)
    candidates: int = Field(ge=0)
    collected: int = Field(ge=0)
    size_bytes: int = Field(ge=0)
    labels: dict[str, int]
    problem: str = ""
    time: Time
