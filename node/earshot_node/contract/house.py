"""Messages of the house: one alarm out of what all nodes at a broker hear."""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from earshot_node.contract.messages import Message, Time
from earshot_node.contract.names import Label, Slug

MAX_INSTANCE_CHARS: Final = 60
Movement = Literal["approaching", "receding", "steady", "unknown"]
"""How the level goes where the siren is heard."""


class HouseMicrophone(BaseModel):
    """A source that hears, or heard, the present or last siren.

    Attributes:
        room: its area; its name where it has none.
        sounding: it hears the siren now.
        level_dbfs: loudest level while it did; None if none came.
        confidence: highest, in percent; None if no details came.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    node: Slug
    source: Slug
    name: str
    room: str
    sounding: bool
    level_dbfs: float | None = None
    confidence: int | None = None


class HouseReport(Message):
    """How it is with the house; retained.

    Attributes:
        state: `on` while a siren sounds for the house.
        id: of the present or last siren; '' before the first.
        began: by the house's own clock; None before the first.
        ended: None while it sounds.
        microphones: that have heard the present or last siren, the loudest first.
        sounding: how many hear it now.
        loudest_room: of the present or last siren; '' before the first.
        needed: microphones that must hear it, as things are now.
        listening: microphones that listen now.
        away: sources that do not, as `node/source`.
        problem: one line for a person; '' when fine.
        owner: who runs the house.
        time: when this was written.
    """

    state: Literal["on", "off"]
    id: str = Field(default="", max_length=64)
    began: Time | None = None
    ended: Time | None = None
    microphones: tuple[HouseMicrophone, ...] = ()
    sounding: int = Field(default=0, ge=0)
    loudest_room: str = ""
    movement: Movement = "unknown"
    needed: int = Field(ge=1)
    listening: int = Field(ge=0)
    away: tuple[str, ...] = ()
    problem: str = ""
    owner: str
    time: Time


class HouseEvent(Message):
    """A siren has begun for the house; Home Assistant's event entity fires once.

    Attributes:
        event_type: the label.
        rooms: where it is heard, the loudest first.
        microphones: those, as `node/source`.
        confidence: highest, in percent; None if no details came.
    """

    id: str = Field(min_length=8, max_length=64)
    event_type: Label
    began: Time
    rooms: tuple[str, ...]
    loudest_room: str
    microphones: tuple[str, ...]
    confidence: int | None = None


class HouseOwner(Message):
    """Who runs the house; retained. The latest message counts, also for those who wrote an earlier one.

    Attributes:
        owner: the node, or the program beside it.
        fingerprint: of the announcement in Home Assistant; '' before there is one.
        since: when it took over.
    """

    owner: str = Field(min_length=1, max_length=MAX_INSTANCE_CHARS)
    fingerprint: str = ""
    since: Time
