"""Labels as a person reads them."""

import pytest

from earshot_node.mqtt.label_look import event_icon_of, icon_of, one_of


@pytest.mark.parametrize(
    ("label", "words", "icon"),
    [
        ("siren", "a siren", "mdi:alarm-light"),
        ("alarm", "an alarm", "mdi:alarm-light"),
        ("baby_cry", "a baby cry", "mdi:baby-face-outline"),
        ("music", "music", "mdi:music"),
    ],
)
def test_label_has_words_and_an_icon(label: str, words: str, icon: str) -> None:
    assert one_of(label) == words
    assert icon_of(label) == icon
    assert event_icon_of(label).startswith(icon)
