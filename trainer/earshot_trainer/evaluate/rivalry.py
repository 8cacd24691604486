"""Which comparisons at equal false alarms two measured subjects allow: over clips, and over events at each SNR."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from earshot_node.contract.operating_point import OperatingPoint, PresetName, Presets
from earshot_trainer.evaluate.equal_alarms import Contender, EqualAlarms, clip_recall, compare_at_equal_alarms
from earshot_trainer.evaluate.event_outcomes import outcomes_at
from earshot_trainer.evaluate.events import EventFigures
from earshot_trainer.evaluate.soundscape_scoring import HeardSoundscape
from earshot_trainer.evaluate.tracks import Scored, Track

PRESETS: tuple[PresetName, ...] = ("balanced", "quiet")
"""The rival's operating points whose false alarms are taken."""


@dataclass(frozen=True, slots=True)
class Contestant:
    """A subject with what it heard.

    Attributes:
        events: its event figures, with the soundscapes behind them; anything else is ignored.
    """

    title: str
    presets: Presets
    scored: Scored
    events: Any


def compare_with_rival(mine: Contestant, rival: Contestant) -> list[EqualAlarms]:
    """Compare all labels that both know and that the recordings can show."""
    found: list[EqualAlarms] = []
    for label in mine.presets.balanced:
        if label not in rival.presets.balanced or not _long_negatives(mine, label):
            continue
        subjects = [(one, _recalls(one, label)) for one in (mine, rival)]
        for what in subjects[0][1]:
            if what not in subjects[1][1]:
                continue
            for preset in PRESETS:
                left, right = (_contender(one, label, preset, recalls[what]) for one, recalls in subjects)
                found.append(compare_at_equal_alarms(left, right, label=label, what=what, preset=preset))
    return found


def _contender(
    one: Contestant, label: str, preset: PresetName, recall_at: Callable[[OperatingPoint], float]
) -> Contender:
    return Contender(one.title, getattr(one.presets, preset)[label], _long_negatives(one, label), recall_at)


def _long_negatives(one: Contestant, label: str) -> list[Track]:
    return [t for t in one.scored.by_label[label] if t.recording.kind == "long" and not t.is_positive(label)]


def _recalls(one: Contestant, label: str) -> dict[str, Callable[[OperatingPoint], float]]:
    """Return by name what recall can be counted over."""
    recalls: dict[str, Callable[[OperatingPoint], float]] = {}
    tracks = one.scored.by_label[label]
    if any(track.recording.kind == "clip" and track.is_positive(label) for track in tracks):
        recalls["clips"] = clip_recall(tracks, label)
    if isinstance(one.events, EventFigures) and one.events.label == label:
        for at_snr in one.events.by_snr:
            heard = [soundscape for soundscape in one.events.heard if soundscape.plan.snr_db == at_snr.snr_db]
            recalls[f"events at {at_snr.snr_db:+g} dB SNR"] = _event_recall(heard)
    return recalls


def _event_recall(heard: Sequence[HeardSoundscape]) -> Callable[[OperatingPoint], float]:
    def recall_at(point: OperatingPoint) -> float:
        events = outcomes_at(heard, point).events
        return sum(event.outcome == "heard" for event in events) / max(1, len(events))

    return recall_at
