"""What a household can change at run time, per source and label: a switch and a sensitivity."""

from dataclasses import dataclass, replace
from typing import TypeVar

from earshot_node.contract.config import NodeConfig
from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.contract.topics import SettingName

Key = tuple[str, str]  # source, label


@dataclass(frozen=True, slots=True)
class LabelSettings:
    """Settings of one label of one source.

    Attributes:
        enabled: whether it is listened for.
        sensitivity: 0 (quiet) to 100 (sensitive).
    """

    enabled: bool
    sensitivity: float


@dataclass(frozen=True, slots=True)
class CommandedSettings:
    """What was commanded for one label of one source; None: never, so that the configuration holds."""

    enabled: bool | None = None
    sensitivity: float | None = None

    def over(self, default: LabelSettings) -> LabelSettings:
        """Return what holds: the commanded, the rest from `default`."""
        return LabelSettings(
            default.enabled if self.enabled is None else self.enabled,
            default.sensitivity if self.sensitivity is None else self.sensitivity,
        )


@dataclass(frozen=True, slots=True)
class SettingChange:
    """One setting was changed by a command.

    Attributes:
        name: which one.
        settings: all of them as they are now.
    """

    name: SettingName
    settings: LabelSettings


def default_settings(config: NodeConfig) -> LabelSettings:
    """Return what holds until somebody changes it: on, at the configured preset's sensitivity."""
    return LabelSettings(enabled=True, sensitivity=PRESET_SENSITIVITY[config.detection.preset])


T = TypeVar("T", LabelSettings, CommandedSettings)


def with_value(settings: T, value: bool | float) -> T:
    """Return `settings` with the switch (bool) or the sensitivity (float) replaced."""
    if isinstance(value, bool):
        return replace(settings, enabled=value)
    return replace(settings, sensitivity=value)


def encode_setting(settings: LabelSettings, name: SettingName) -> bytes:
    """Return the payload that echoes a setting: `ON`, `OFF` or a number."""
    if name == "enabled":
        return b"ON" if settings.enabled else b"OFF"
    return f"{settings.sensitivity:g}".encode()
