"""Operating points and figures of labels that the active model does not hear: there is nothing to compare them with."""

from collections.abc import Sequence

import numpy as np

from earshot_node.contract.operating_point import OperatingPoint, PresetName
from earshot_trainer.evaluate.operating_points import Choice, Evidence, choose_operating_points
from earshot_trainer.evaluate.tagging import alarmed_clips
from earshot_trainer.evaluate.tracks import Track
from earshot_trainer.retraining.comparing import PRESET, Heard
from earshot_trainer.retraining.gate import NewLabel
from earshot_trainer.retraining.new_labels import presence
from earshot_trainer.retraining.settings import GateSettings


def told(tracks: Sequence[Track], label: str) -> list[Track]:
    """Return the tracks of recordings of which it is known, or taken, whether they hold a label."""
    return [track for track in tracks if presence(track.recording, label) != "unknown"]


def choose_points(calibration: Sequence[Track], own: Sequence[Track], label: str) -> dict[PresetName, Choice]:
    """Choose a label's point of each preset; with it is what it gave on what it was chosen on.

    Args:
        calibration: clips and long recordings, for the false alarms.
        own: the household's held-out recordings; those with the label are what is to be found.
        label: which.

    Raises:
        OperatorError: there is no recording with the label, or no long one without.
    """
    evidence = Evidence.of([*told(calibration, label), *told(own, label)], label)
    return choose_operating_points({label: evidence})[1][label]


def new_label_figures(candidate: Heard, label: str, settings: GateSettings) -> NewLabel:
    """Return what the candidate finds of a new label, and what it takes for it, at `balanced`."""
    point = getattr(candidate.subject.presets, PRESET)[label]
    own = candidate.as_recorded(label)
    mine, others = [t for t in own if t.is_positive(label)], [t for t in own if not t.is_positive(label)]
    harder = [track for track in candidate.own[label] if track.is_positive(label)]
    test = [track for track in told(candidate.test[label], label) if not track.is_positive(label)]
    clips = [track for track in test if track.recording.kind == "clip"]
    long = [track for track in test if track.recording.kind == "long"]
    hours = sum(track.duration_s for track in long) / 3600
    return NewLabel(
        label=label,
        held_out=len(mine),
        sessions=len({track.recording.group for track in mine}),
        found=_alarmed(mine, label, point),
        found_under_conditions=round(_alarmed(harder, label, point) / max(1, len(harder)), 4),
        own_others=len(others),
        own_alarmed=_alarmed(others, label, point),
        clips=len(clips),
        clips_alarmed=_alarmed(clips, label, point),
        long_hours=round(hours, 3),
        false_alarms=sum(len(track.events(label, point)) for track in long),
        least_recall=settings.new_recall,
        most_own_alarmed=_most(settings.new_own_alarms, len(others)),
        most_clips_alarmed=_most(settings.new_clip_alarms, len(clips)),
        most_false_alarms=_most(settings.new_alarms_per_hour, hours),
    )


def _alarmed(tracks: Sequence[Track], label: str, point: OperatingPoint) -> int:
    return int(np.sum(alarmed_clips(tracks, label, point)))


def _most(share: float, of: float) -> int:
    """Return how many are allowed; one always is."""
    return max(1, int(share * of + 1e-9))
