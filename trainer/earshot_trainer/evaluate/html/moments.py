"""The worst false alarms and misses: which moments of which recordings a person should listen to first."""

from collections.abc import Sequence
from dataclasses import dataclass

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, PresetName, Presets
from earshot_node.inference.facts import SoundEvent
from earshot_trainer.evaluate.tracks import Track

LEAD_S, CUT_OUT_S = 2.0, 10.0


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of one recording.

    Attributes:
        track: the recording with its posteriors.
        verdict: what the model made of it, for a person.
        begin_s, end_s: the stretch, at most CUT_OUT_S long.
        event: the false alarm; None for a miss.
        more: further false alarms of the recording, not shown.
    """

    track: Track
    verdict: str
    begin_s: float
    end_s: float
    event: SoundEvent | None = None
    more: int = 0


def worst_false_alarms(tracks: Sequence[Track], label: str, presets: Presets, most: int) -> list[Moment]:
    """Return the worst event of each recording without `label`: those of the strictest preset first, then by peak.

    Recordings in which even `sensitive` reports nothing are left out.
    """
    ranked: list[tuple[tuple[float, ...], Moment]] = []
    for track in tracks:
        if track.is_positive(label):
            continue
        for rank, preset in enumerate(PRESET_SENSITIVITY):
            events = _events(track, label, presets, preset)
            if events:
                ranked.append(_rank_alarm(track, events, rank, preset))
                break
    ranked.sort(key=lambda pair: pair[0])
    return [moment for _, moment in ranked[:most]]


def worst_misses(tracks: Sequence[Track], label: str, presets: Presets, most: int) -> list[Moment]:
    """Return recordings with `label` in which `balanced` reports nothing, those with the lowest score first."""
    missed = [track for track in tracks if track.is_positive(label) and not _events(track, label, presets, "balanced")]
    missed.sort(key=lambda track: (track.score, track.recording.name))
    return [_miss(track, label, presets) for track in missed[:most]]


def _rank_alarm(
    track: Track, events: list[SoundEvent], rank: int, preset: PresetName
) -> tuple[tuple[float, ...], Moment]:
    worst = max(events, key=lambda event: (round(event.peak, 3), _length_s(event)))
    begin_s = max(0.0, min(worst.onset_s - LEAD_S, track.duration_s - CUT_OUT_S))
    verdict = f"alarm at {preset}" + (" and above" if preset != "sensitive" else " only")
    moment = Moment(
        track, verdict, begin_s, min(track.duration_s, begin_s + CUT_OUT_S), event=worst, more=len(events) - 1
    )
    return (rank, -round(worst.peak, 3), -_length_s(worst)), moment


def _miss(track: Track, label: str, presets: Presets) -> Moment:
    verdict = "found at sensitive only" if _events(track, label, presets, "sensitive") else "missed at every preset"
    peak_s = float(track.posteriors.argmax()) * track.hop_s if len(track.posteriors) else 0.0
    begin_s = max(0.0, min(peak_s - CUT_OUT_S / 2, track.duration_s - CUT_OUT_S))
    return Moment(track, verdict, begin_s, min(track.duration_s, begin_s + CUT_OUT_S))


def _events(track: Track, label: str, presets: Presets, preset: PresetName) -> list[SoundEvent]:
    return track.events(label, getattr(presets, preset)[label])


def _length_s(event: SoundEvent) -> float:
    return (event.offset_s or event.onset_s) - event.onset_s
