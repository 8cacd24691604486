"""Messages about drills: a siren that a node plays to itself, and how far the alarm came."""

from typing import Literal

from pydantic import Field

from earshot_node.contract.messages import Message, Time
from earshot_node.contract.names import Slug

DrillOutcome = Literal["passed", "failed"]


class DrillResult(Message):
    """How a source's last drill went; retained.

    The siren is mixed into the source's live audio behind the microphone: a drill shows that audio arrives, that model
    and operating point hear a siren of this level over what else sounds there, and that the broker takes the alarm. It
    does not show that the microphone's membrane works.

    Attributes:
        id: the command's id; one of the node's own for a drill by schedule or button.
        heard: live audio carried the whole siren into the model.
        detected: the detector reported it.
        published: the broker acknowledged the alarm.
        detected_s: from the siren's first sample to the end of the block that decided; None if it was not detected.
        alarm_s: from the siren's first sample to the broker's acknowledgement; None if there was none.
        level_dbfs: of the siren (root mean square), mixed in.
        background_dbfs: of what else sounded meanwhile; None if nothing came.
        confidence: highest posterior in percent; None if it was not detected.
        reason: why it failed, one line with what to try; '' when passed.
        event: id of the event that the drill made; '' for none.
        time: when it ended.
    """

    id: str = Field(max_length=64)
    source: Slug
    outcome: DrillOutcome
    heard: bool
    detected: bool
    published: bool
    detected_s: float | None = Field(default=None, ge=0)
    alarm_s: float | None = Field(default=None, ge=0)
    level_dbfs: float
    background_dbfs: float | None = None
    confidence: int | None = Field(default=None, ge=0, le=100)
    reason: str = ""
    event: str = ""
    time: Time
