"""Findings of the evaluation's parts as somebody might have measured them, for pages and printers."""

from earshot_trainer.evaluate.equal_alarms import EqualAlarms, SweepPoint
from earshot_trainer.evaluate.event_outcomes import EventOutcome
from earshot_trainer.evaluate.events import DEFINITIONS, Delay, EventFigures, EventsAtPoint, EventsAtSnr
from earshot_trainer.evaluate.folds import Fold, FoldFigures, Spread
from earshot_trainer.evaluate.nested_choice import NestedFigures, NestedPreset
from earshot_trainer.evaluate.psds import SCENARIOS, Psds
from earshot_trainer.evaluate.robustness import ConditionFigures, RobustnessFigures
from earshot_trainer.evaluate.siren_kinds import KindFigures, SirenKindFigures
from earshot_trainer.evaluate.speed import SpeedFigures
from earshot_trainer.evaluate.tagging import Decisions

PRESETS = ("quiet", "balanced", "sensitive")
DECISIONS = Decisions(0.9, 0.8, 0.847, 8, 2, 1)


def event_figures(recall: float) -> EventFigures:
    """Ten events at +10 and 0 dB; at 0 dB a fifth of the share is lost."""
    by_snr = []
    for snr_db, share in ((10.0, recall), (0.0, recall - 0.2)):
        presets = {preset: _at_point(snr_db, share) for preset in PRESETS}
        psds = {name: Psds(round(share / 2, 3), 0.1, settings) for name, settings in SCENARIOS.items()}
        by_snr.append(EventsAtSnr(snr_db, presets, psds))
    protocol = {
        "seed": 7, "soundscapes": 12, "hours": 0.2, "groups": ["a", "b"], "events_of": "2 recordings",
        "backgrounds": 3, "definitions": DEFINITIONS,
    }  # fmt: skip
    return EventFigures("siren", protocol, by_snr, ())


def robustness_figures(recall: float) -> RobustnessFigures:
    """A curve over SNR, a single condition of each of two other families, and one that could not be measured."""
    rows = [
        _condition("reference", "plain", None, recall),
        *(_condition("SNR", f"{snr_db:+d} dB", float(snr_db), recall + snr_db / 50) for snr_db in (10, 0, -10)),
        _condition("codec", "Opus 24 kbit/s", None, recall - 0.1),
        _condition("codec", "G.711 A-law 8 kHz", None, recall - 0.2),
    ]
    protocol = {"seed": 7, "recall": "mean over groups", "take": "4 s", "level": "-25 dBFS"}
    return RobustnessFigures("siren", protocol, 20, 5, 10, rows, {"AAC 32 kbit/s": "ffmpeg is missing"}, [], 1.0)


def equal_alarms(mine_title: str, rival_title: str, what: str = "clips") -> EqualAlarms:
    """Two curves of three points; the first finds 0.9 where the rival finds 0.7."""
    curves = [
        [SweepPoint(0.9, 0, 0.0, low), SweepPoint(0.5, 2, 1.0, low + 0.1), SweepPoint(0.1, 20, 10.0, low + 0.2)]
        for low in (0.75, 0.6)
    ]
    return EqualAlarms(
        label="siren", what=what, preset="balanced", mine_title=mine_title, rival_title=rival_title, hours=2.0,
        mine=SweepPoint(0.42, 2, 1.0, 0.9), rival=SweepPoint(0.5, 2, 1.0, 0.7), mine_curve=curves[0],
        rival_curve=curves[1],
    )  # fmt: skip


def fold_figures() -> FoldFigures:
    """Two folds."""
    folds = [Fold(f"runs/f{number}", 9, 3, 20, 0.9, 0.8, 0.7, 1.5, number) for number in (1, 2)]
    spread: Spread | None = Spread(0.9, 0.01)
    return FoldFigures({"siren": folds}, {"siren": spread}, {"siren": spread})


def nested_figures(recall: float) -> NestedFigures:
    """Every preset alike."""
    one = NestedPreset(8, 10, recall, 1, 20, 2, 4.0, 0.5, (0.06, 1.8), [])
    return NestedFigures({"siren": dict.fromkeys(PRESETS, one)})


def kind_figures(heard: int) -> SirenKindFigures:
    """Wails are all heard, yelps `heard` times out of twelve and none of them at 0 dB."""
    kinds = tuple(
        KindFigures(kind, snr_db, 12, dict.fromkeys(PRESETS, count), dict.fromkeys(PRESETS, 1.5 if count else None))
        for snr_db, counts in ((10.0, {"wail": 12, "yelp": heard}), (0.0, {"wail": 12, "yelp": 0}))
        for kind, count in counts.items()
    )
    return SirenKindFigures(kinds, {"seed": 7, "takes": 12, "sirens": "synthesized", "background": "traffic"})


def speed_figures(throughput: float) -> SpeedFigures:
    """A subject of this speed."""
    how = {"machine": "a machine", "audio_s": 60.0, "rounds": 5, "throughput": "best of the rounds"}
    return SpeedFigures(
        throughput, throughput / 2, throughput / 4, {"0.04 s": 100.0, "10 s": throughput}, "0.04 s", 0.2, 0.4, how
    )


def _at_point(snr_db: float, share: float) -> EventsAtPoint:
    heard = round(10 * share)
    outcomes = [
        EventOutcome(
            f"pool0-{number:03d}", "pool0", "a", "rain", snr_db, 4.0, 9.0, "heard" if number < heard else "missed",
            0.4 + number / 10 if number < heard else None, 0.9, 0,
        )
        for number in range(10)
    ]  # fmt: skip
    return EventsAtPoint(
        events=10, heard=heard, already_on=0, recall=share, recall_interval=(share - 0.1, min(1.0, share + 0.1)),
        by_group={"a": (heard, 10)}, delay=Delay(0.72, 1.35, 1.5, 0.6, 0.9), hours=0.2, extra=1, extra_per_hour=5.0,
        extra_interval=(0.1, 20.0), repeats=0, event_based=DECISIONS, segment_based=DECISIONS, outcomes=outcomes,
        extra_detections=[],
    )  # fmt: skip


def _condition(family: str, name: str, value: float | None, recall: float) -> ConditionFigures:
    recall = min(1.0, max(0.0, recall))
    by_preset = dict.fromkeys(PRESETS, recall)
    interval = dict.fromkeys(PRESETS, (max(0.0, recall - 0.1), min(1.0, recall + 0.1)))
    return ConditionFigures(
        family=family, name=name, value=value, unit="dB" if value is not None else "", recall=by_preset,
        recall_interval=interval, found=dict.fromkeys(PRESETS, 3), change=dict.fromkeys(PRESETS, -0.1),
        change_interval=interval, false_alarms=dict.fromkeys(PRESETS, 0.1), mean_peak=0.8, auc=0.9,
        auc_interval=(0.8, 0.95), missed=[],
    )  # fmt: skip
