"""JSON payloads: pydantic models with a schema number, and their two converters.

Unknown fields are ignored, missing or wrong ones are rejected with a reason. Keys are snake_case; `_s` seconds, `_dbfs`
decibels below full scale; times are ISO 8601 in UTC with milliseconds.
"""

from datetime import UTC, datetime
from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, ValidationError

from earshot_node.contract.names import Label, SirenKind, Slug
from earshot_node.contract.node_address import NodeAddress
from earshot_node.errors import MessageError

MESSAGE_SCHEMA: Final = 1
MAX_PAYLOAD_BYTES = 65_536


def _iso(value: datetime) -> str:
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Time = Annotated[AwareDatetime, PlainSerializer(_iso, when_used="json")]
HealthState = Literal["healthy", "deaf", "starting"]
SourceState = Literal["starting", "healthy", "absent", "silent", "frozen", "clipped", "stalled", "ended"]


class Message(BaseModel):
    """Base of every payload."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    schema_: Literal[1] = Field(default=MESSAGE_SCHEMA, alias="schema")

    def encode(self) -> bytes:
        """Return the payload: compact UTF-8 JSON."""
        return self.model_dump_json(by_alias=True).encode()

    @classmethod
    def decode(cls, payload: bytes) -> Self:
        """Parse a payload.

        Raises:
            MessageError: with the field and what was expected; never anything else, whatever the bytes.
        """
        return decode_message(cls, payload)


MessageT = TypeVar("MessageT", bound=Message)


def decode_message(kind: type[MessageT], payload: bytes) -> MessageT:
    """Parse `payload` as `kind`; see `Message.decode`."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise MessageError(f"payload of {len(payload)} bytes is too large, at most {MAX_PAYLOAD_BYTES} are taken")
    try:
        return kind.model_validate_json(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "payload"
        raise MessageError(f"{where}: {first['msg']}") from error


class EventMessage(Message):
    """One sound event, sent at onset and again at offset with the same id.

    Attributes:
        event_type: the label; Home Assistant's event entity wants this name.
        onset: wall time of the first sample that counts.
        decided: wall time of the end of the block that decided the phase; any delay from there on is the node's and the
            network's.
        offset: wall time of its end; None at phase `onset`.
        duration_s: offset minus onset in audio time; None at phase `onset`.
        kind: how the siren's pitch moves, as far as it can be told by now; None for other labels. A reader that does
            not know a value should take it for `unknown`.
        peak: highest posterior so far, 0 to 1.
        level_dbfs: loudest level so far, after the source's gain, which can lift it above 0.
        clip_url: where whoever has it can hear the event's clip, once it has ended; None without `clips.links`.
        late: delivered so late that nobody should act on it.
        drill: it was played to the node by itself; it goes to a topic of its own and alarms nobody.
    """

    id: str = Field(min_length=8, max_length=64)
    phase: Literal["onset", "offset"]
    event_type: Label
    node: Slug
    source: Slug
    source_name: str
    onset: Time
    decided: Time | None = None
    offset: Time | None = None
    duration_s: float | None = Field(default=None, ge=0)
    kind: SirenKind | None = None
    peak: float = Field(ge=0, le=1)
    confidence: int = Field(ge=0, le=100)
    level_dbfs: float = Field(allow_inf_nan=False)
    model: str
    clip_url: str | None = None
    late: bool = False
    drill: bool = False


class ModelInfo(BaseModel):
    """Which model a node runs."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    version: str
    labels: tuple[str, ...]


class SourceInfo(BaseModel):
    """A configured source; `area` is the room that it hears, '' if nobody has said."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: Slug
    name: str
    type: str
    area: str = ""


class NodeInfo(Message):
    """Who a node is; retained.

    Attributes:
        labels: what it listens for.
        recording_labels: what samples may be recorded as, `background` among them.
        http: where it answers its trainer; None for a node that has not joined or cannot be reached.
    """

    node: Slug
    name: str
    version: str
    model: ModelInfo
    labels: tuple[Label, ...]
    recording_labels: tuple[Label, ...] = ()
    sources: tuple[SourceInfo, ...]
    started: Time
    http: NodeAddress | None = None


class NodeHealth(Message):
    """How a node is; retained.

    Attributes:
        state: `deaf` when at least one source cannot hear, audio is lost or inference stands still.
        problems: one line each for a person; a healthy node may have some that do not keep it from hearing.
        real_time_factor: processing time of all sources over the time that they were heard; above 1 it cannot keep up.
        queued_events: events waiting for the broker.
    """

    state: HealthState
    problems: tuple[str, ...]
    real_time_factor: float = Field(ge=0)
    hours_listened: float = Field(ge=0)
    dropped_s: float = Field(ge=0)
    queued_events: int = Field(ge=0)
    model_version: str
    time: Time


class SourceHealth(Message):
    """How a source is; retained.

    Attributes:
        problem: one line for a person, empty when healthy.
        reopened: how often it was opened again since start.
    """

    source: Slug
    state: SourceState
    problem: str
    dropped_s: float = Field(ge=0)
    hours_listened: float = Field(ge=0)
    reopened: int = Field(ge=0)
    time: Time


class Reply(Message):
    """Answer to a command.

    Attributes:
        id: the command's id, empty if it had none.
        ok: whether it was done.
        reason: one line when it was not.
    """

    id: str = ""
    command: str
    ok: bool
    reason: str = ""


class Command(Message):
    """A command to a node; the topic names it."""

    id: str = Field(default="", max_length=64)


class RecordCommand(Command):
    """The command `record`: a sample from now on.

    Attributes:
        label: what sounds, or `background`; None: as the recorder is set.
        source: which source; None: as the recorder is set.
        seconds: how long.
    """

    label: Label | None = None
    source: Slug | None = None
    seconds: float = Field(default=3.0, ge=0.5, le=60)


class DrillCommand(Command):
    """The command `drill`: play the node a siren and see whether it is heard.

    Attributes:
        source: which source; None: the only one.
        level_dbfs: how loud it is mixed in; None: as configured.
    """

    source: Slug | None = None
    level_dbfs: float | None = Field(default=None, ge=-60, le=-3, allow_inf_nan=False)


class FeedbackMessage(Command):
    """What a person says about an event; the topic holds source, label and verdict.

    Attributes:
        event: the event's id; '' for the last one of this source and label.
    """

    event: str = Field(default="", max_length=64)


COMMAND_TYPES: Final[dict[str, type[Command]]] = {"record": RecordCommand, "drill": DrillCommand}
"""Commands that take more than an id."""
