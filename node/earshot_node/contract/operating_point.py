"""Operating points: all decision settings of one label, and how sensitivity chooses among presets."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

PresetName = Literal["quiet", "balanced", "sensitive"]
PRESET_SENSITIVITY: dict[PresetName, float] = {"quiet": 0.0, "balanced": 50.0, "sensitive": 100.0}
DEFAULT_SENSITIVITY = 50.0


class OperatingPoint(BaseModel):
    """Decision settings of one label.

    Attributes:
        enter: posterior at or above which an event may begin, 0 to 1.
        leave: posterior at or above which a begun event goes on (hysteresis), at most `enter`.
        certain: posterior above which an event is reported at once, at least `enter`; none is above 1, which leaves
            every event to the minimum length.
        min_length_s: an event is reported at the latest once it has lasted this long.
        bridging_s: a gap below `leave` up to this long does not end an event.
        cooldown_s: after an offset, no new onset for this long.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    enter: float = Field(gt=0, le=1)
    leave: float = Field(gt=0, le=1)
    certain: float = Field(default=1.0, gt=0, le=1)
    min_length_s: float = Field(ge=0, le=30)
    bridging_s: float = Field(ge=0, le=60)
    cooldown_s: float = Field(ge=0, le=3600)

    @model_validator(mode="after")
    def _levels_are_in_order(self) -> Self:
        if self.leave > self.enter:
            raise ValueError(f"leave ({self.leave}) must not exceed enter ({self.enter})")
        if self.enter > self.certain:
            raise ValueError(f"enter ({self.enter}) must not exceed certain ({self.certain})")
        return self


class Presets(BaseModel):
    """The operating points of every label at sensitivity 0 (quiet), 50 (balanced) and 100 (sensitive)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    quiet: dict[str, OperatingPoint]
    balanced: dict[str, OperatingPoint]
    sensitive: dict[str, OperatingPoint]

    @model_validator(mode="after")
    def _same_labels(self) -> Self:
        if not set(self.quiet) == set(self.balanced) == set(self.sensitive):
            raise ValueError("every preset must name the same labels")
        return self

    def at(self, label: str, sensitivity: float) -> OperatingPoint:
        """Interpolate linearly between the presets.

        Args:
            label: one of the bundle's labels.
            sensitivity: 0 (quiet) to 100 (sensitive).

        Raises:
            KeyError: unknown label.
            ValueError: sensitivity outside 0 to 100.
        """
        if not 0 <= sensitivity <= 100:
            raise ValueError(f"sensitivity {sensitivity} is outside 0 to 100")
        if sensitivity <= DEFAULT_SENSITIVITY:
            low, high, share = self.quiet[label], self.balanced[label], sensitivity / DEFAULT_SENSITIVITY
        else:
            low, high = self.balanced[label], self.sensitive[label]
            share = (sensitivity - DEFAULT_SENSITIVITY) / (100 - DEFAULT_SENSITIVITY)
        return OperatingPoint(
            **{
                field: round(getattr(low, field) * (1 - share) + getattr(high, field) * share, 6)
                for field in OperatingPoint.model_fields
            }
        )
