"""How labels look and read in Home Assistant."""

from typing import Final

_ICONS: Final = {
    "baby_cry": "mdi:baby-face-outline",
    "speech": "mdi:account-voice",
    "music": "mdi:music",
    "dog": "mdi:dog",
    "car_horn": "mdi:bugle",
    "smoke_alarm": "mdi:smoke-detector-variant-alert",
}
_WITHOUT_ARTICLE: Final = frozenset({"speech", "music"})


def icon_of(label: str) -> str:
    """Return the icon of the label's sensor."""
    return _ICONS.get(label, "mdi:alarm-light")


def event_icon_of(label: str) -> str:
    """Return the icon of the label's event."""
    return _ICONS.get(label, "mdi:alarm-light-outline")


def one_of(label: str) -> str:
    """Return what a person would call one such sound: `a siren`, `an alarm`, `speech`."""
    words = label.replace("_", " ")
    return words if label in _WITHOUT_ARTICLE else f"{'an' if label[0] in 'aeiou' else 'a'} {words}"
