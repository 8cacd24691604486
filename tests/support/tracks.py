"""Posterior tracks of invented recordings."""

from pathlib import Path

import numpy as np

from earshot_trainer.corpus.recordings import Recording
from earshot_trainer.evaluate.tracks import Track

HOP_S = 0.04


def make_track(label: str, posteriors: list[float], *, group: str = "g", kind: str = "clip") -> Track:
    """One track at 40 ms a frame; a recording labelled `siren` holds one, any other does not."""
    duration_s = len(posteriors) * HOP_S
    recording = Recording(
        path=Path("x.flac"),
        name=f"{label}-{group}",
        label=label,
        labels=frozenset({"siren"} if label == "siren" else ()),
        kind="long" if kind == "long" else "clip",
        source="test",
        group=group,
        fold="a",
        duration_s=duration_s,
        licence="CC0",
        note="",
    )
    return Track(recording, duration_s, np.array(posteriors, np.float32), HOP_S)
