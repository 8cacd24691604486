"""Events of soundscapes as evidence for operating points, and their figures at other points."""

import math
from dataclasses import replace

from earshot_node.contract.operating_point import PRESET_SENSITIVITY, Presets
from earshot_trainer.evaluate.events import EventFigures, measure_at_point
from earshot_trainer.evaluate.tracks import Track

EVIDENCE_SNR_DB = 10.0
AFTER_S = 1.0
"""A detection so long after an event is still the event's."""


def event_tracks(figures: EventFigures, snr_db: float = EVIDENCE_SNR_DB) -> list[Track]:
    """Return the posteriors from onset to `AFTER_S` after offset of every event at one SNR, empty if there is none.

    The recording of a track is `SoundscapePlan.recording_of` the event.
    """
    tracks = []
    for heard in figures.heard:
        if heard.plan.snr_db != snr_db:
            continue
        for event in heard.plan.events:
            begin = int(event.onset_s / heard.hop_s)
            end = math.ceil((event.offset_s + AFTER_S) / heard.hop_s)
            posteriors = heard.posteriors[begin:end]
            recording = heard.plan.recording_of(event)
            tracks.append(Track(recording, len(posteriors) * heard.hop_s, posteriors, heard.hop_s))
    return tracks


def figures_at(figures: EventFigures, presets: Presets) -> EventFigures:
    """Return the figures of the same soundscapes at other operating points; PSDS does not depend on them."""
    by_snr = []
    for at_snr in figures.by_snr:
        heard = [one for one in figures.heard if one.plan.snr_db == at_snr.snr_db]
        points = {str(name): getattr(presets, name)[figures.label] for name in PRESET_SENSITIVITY}
        by_snr.append(replace(at_snr, presets={name: measure_at_point(heard, p) for name, p in points.items()}))
    return replace(figures, by_snr=by_snr)
