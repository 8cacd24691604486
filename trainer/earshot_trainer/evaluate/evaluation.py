"""One evaluation from selection to figures, with the protocol that makes them mean something."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from earshot_node import __version__
from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.errors import OperatorError
from earshot_trainer.corpus.recordings import Recording, dataset_hash
from earshot_trainer.corpus.splits import hold_out
from earshot_trainer.evaluate.false_alarms import FalseAlarms, measure_false_alarms
from earshot_trainer.evaluate.subject import Subject
from earshot_trainer.evaluate.tagging import Tagging, measure_tagging
from earshot_trainer.evaluate.tracks import Scored, Track, score_recordings

REPORT_SCHEMA = 1
CLIP_SCORE = "highest posterior over all frames of the clip; state reset per recording"
CLIP_DECISION = "the node's detector reports at least one event in the clip"
FALSE_ALARM = "every event of the node's detector on long recordings without the label; exact Poisson 95 % interval"


@dataclass(frozen=True, slots=True)
class Selection:
    """Which recordings are measured; without folds and sources, all of them."""

    manifests: tuple[str, ...]
    folds: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    excluded_groups: tuple[str, ...] = ()

    def apply(self, recordings: Sequence[Recording]) -> list[Recording]:
        """Return the chosen recordings in order.

        Raises:
            OperatorError: a name matches nothing, or nothing is left.
        """
        chosen: Sequence[Recording] = recordings
        if self.folds or self.sources:
            chosen = hold_out(recordings, folds=self.folds, sources=self.sources).test
        known = {recording.group for recording in recordings}
        for group in self.excluded_groups:
            if group not in known:
                raise OperatorError(f"--exclude-group {group}: no recording belongs to it; check the manifest's fsid")
        left = [recording for recording in chosen if recording.group not in self.excluded_groups]
        if not left:
            raise OperatorError("no recording is left to measure; select fewer or other folds, sources and groups")
        return left


def check_present(recordings: Sequence[Recording]) -> None:
    """Raise OperatorError that names the first recording whose file is missing."""
    for recording in recordings:
        if not recording.path.is_file():
            raise OperatorError(f"{recording.path} does not exist; check the manifest or fetch the audio again")


@dataclass(frozen=True, slots=True)
class LongRecall:
    """Long recordings that hold the label (weakly labelled): how many have an event at each preset."""

    recordings: int
    detected: dict[str, int]
    missed: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class LabelFigures:
    """Everything measured of one label; what the selection cannot show is None or empty."""

    tagging: Tagging | None
    false_alarms: dict[str, FalseAlarms]
    long_recall: LongRecall | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """Figures of one subject with their protocol, as plain types by `to_dict`."""

    subject: dict[str, Any]
    protocol: dict[str, Any]
    labels: dict[str, LabelFigures]
    problems: list[str]
    speed: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return {"schema": REPORT_SCHEMA, **asdict(self)}


def evaluate(
    subject: Subject,
    recordings: Sequence[Recording],
    selection: Selection,
    jobs: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> tuple[Evaluation, Scored]:
    """Measure `subject` on `recordings`; the posteriors come along for comparisons and operating points."""
    scored = score_recordings(subject, recordings, jobs, advance)
    return figures_of(subject, scored, selection), scored


def figures_of(subject: Subject, scored: Scored, selection: Selection) -> Evaluation:
    """Measure posteriors that were scored before, at the subject's presets."""
    presets = subject.presets
    labels = {label: _measure_label(scored.by_label[label], label, subject) for label in presets.balanced}
    return Evaluation(
        subject=subject.describe(), protocol=_protocol(scored, selection), labels=labels, problems=scored.problems
    )


def compare(scored: Scored, other: Scored, label: str) -> dict[str, float]:
    """Return how far two models' posteriors of the same recordings are apart: largest and mean absolute difference."""
    pairs = zip(scored.by_label[label], other.by_label[label], strict=True)
    gaps = [np.abs(mine.posteriors - theirs.posteriors) for mine, theirs in pairs]
    everything = np.concatenate(gaps)
    return {"largest": float(everything.max(initial=0.0)), "mean": float(everything.mean())}


def _measure_label(tracks: Sequence[Track], label: str, subject: Subject) -> LabelFigures:
    presets = subject.presets
    clips = [track for track in tracks if track.recording.kind == "clip"]
    long = [track for track in tracks if track.recording.kind == "long"]
    return LabelFigures(
        tagging=measure_tagging(clips, label, presets),
        false_alarms=measure_false_alarms(long, label, presets),
        long_recall=_long_recall([track for track in long if track.is_positive(label)], label, subject),
    )


def _long_recall(tracks: Sequence[Track], label: str, subject: Subject) -> LongRecall | None:
    if not tracks:
        return None
    missed: dict[str, list[str]] = {}
    for preset in PRESET_SENSITIVITY:
        point = getattr(subject.presets, preset)[label]
        missed[preset] = [t.recording.name for t in tracks if not t.events(label, point)]
    return LongRecall(len(tracks), {preset: len(tracks) - len(names) for preset, names in missed.items()}, missed)


def _protocol(scored: Scored, selection: Selection) -> dict[str, Any]:
    """Describe the recordings that were read; the others are counted."""
    recordings = scored.recordings
    clips = [recording for recording in recordings if recording.kind == "clip"]
    return {
        "earshot_version": __version__,
        "data_sha256": dataset_hash(recordings),
        **asdict(selection),
        "recordings": len(recordings),
        "clips": len(clips),
        "long_recordings": len(recordings) - len(clips),
        "not_read": len(scored.problems),
        "groups": sorted({recording.group for recording in recordings}),
        "clip_score": CLIP_SCORE,
        "clip_decision": CLIP_DECISION,
        "false_alarm": FALSE_ALARM,
    }
