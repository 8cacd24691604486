"""Messages about models: what a trainer offers a node, and what became of it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from earshot_node.contract.manifest import MAX_BUNDLE_BYTES, Sha256, Version
from earshot_node.contract.messages import Message, Time
from earshot_node.contract.names import Label, Slug

MAX_SUMMARY_CHARS = 255
"""Home Assistant takes no longer one."""

Outcome = Literal["installed", "refused", "rolled_back", "kept", "shadowed"]
OfferMode = Literal["offer", "install", "shadow"]


class ModelOffer(Message):
    """A bundle that waits for the node at its trainer; retained, so a node that was away finds it.

    It names no place: a node fetches bundles from the trainer that it has joined, and from nowhere else. It is no
    authority either: the bundle's signature is.

    Attributes:
        id: the same offer sent again is acted on once.
        summary: what is new, or why it is taken back, for people.
        mode: `offer` waits for somebody to press install, `install` does not, `shadow` runs it beside the active one;
            `take_back` lets go of it: the former model decides again, or nothing runs in the shadow any more.
        watch_s: how long it is on trial, in seconds of listening.
    """

    id: str = Field(min_length=1, max_length=64)
    version: Version
    sha256: Sha256
    size_bytes: int = Field(gt=0, le=MAX_BUNDLE_BYTES)
    summary: str = Field(default="", max_length=MAX_SUMMARY_CHARS)
    mode: OfferMode | Literal["take_back"] = "offer"
    watch_s: float = Field(default=1800.0, ge=0, le=604_800)


class InstallResult(Message):
    """What became of a model; retained, so that the trainer learns the latest after it was away.

    Attributes:
        id: the offer's, '' if the model came another way.
        version: which model it is about; '' when it could not be told.
        reason: one line unless all went well.
        again: the node tries by itself once more; a `refused` with it is not its last word.
        active: the version that decides now.
    """

    id: str = ""
    version: str
    sha256: str = ""
    outcome: Outcome
    reason: str = ""
    again: bool = False
    active: str
    time: Time


class UpdateState(BaseModel):
    """What Home Assistant's update entity shows; it refuses any further key, so there is no schema number.

    Attributes:
        update_percentage: 0 to 100 while `in_progress`, else None.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    installed_version: str
    latest_version: str
    title: str = "Siren model"
    release_summary: str = Field(default="", max_length=MAX_SUMMARY_CHARS)
    in_progress: bool = False
    update_percentage: int | None = Field(default=None, ge=0, le=100)

    def encode(self) -> bytes:
        """Return the payload: compact UTF-8 JSON."""
        return self.model_dump_json().encode()


class Disagreement(BaseModel):
    """An event that one of two models heard and the other did not.

    Attributes:
        id: the event's, if the active model heard it; else one that only this report knows.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    id: str
    heard_by: Literal["active", "candidate"]
    source: Slug
    label: Label
    onset: Time
    offset: Time
    peak: float = Field(ge=0, le=1)


class ShadowReport(Message):
    """How a candidate compares with the active model on the same audio; retained.

    Attributes:
        heard_s: audio that both have heard.
        agreed: events that both heard.
        only_active: events that the candidate missed.
        only_candidate: events that only the candidate heard.
        latest: the latest disagreements, oldest first.
        real_time_factor: the candidate's work over audio time.
        problem: why it does not run any more, '' while it does.
    """

    active: Version
    candidate: Version
    sha256: Sha256
    begun: Time
    heard_s: float = Field(ge=0)
    agreed: int = Field(ge=0)
    only_active: int = Field(ge=0)
    only_candidate: int = Field(ge=0)
    latest: tuple[Disagreement, ...] = ()
    real_time_factor: float = Field(ge=0)
    problem: str = ""
