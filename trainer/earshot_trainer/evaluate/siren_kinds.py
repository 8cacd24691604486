"""Which kinds of siren a model hears: synthesized ones of every kind and every two-tone standard, in a street.

    kind, draw -> siren of 10 s -> a vehicle in a street -> over traffic at an SNR -> the subject, its operating points

They are made by the synthesizer that training draws from, with other draws. So this is a floor and no proof for real
ones: what is not heard here is not heard outside either, and a release that forgot a kind shows it.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from earshot_node.contract.operating_point import PRESET_SENSITIVITY
from earshot_node.inference.detector import LabelDetector
from earshot_node.synth.acoustics import random_street
from earshot_node.synth.filters import set_level
from earshot_node.synth.sirens import SAMPLE_RATE_HZ, SirenKind, SirenParameters, synthesize
from earshot_node.synth.two_tone import TWO_TONES
from earshot_node.synth.weather import traffic
from earshot_trainer.evaluate.parallel import map_with_subject
from earshot_trainer.evaluate.subject import Subject

LABEL = "siren"
TAKES = 12
SNR_DB = (10.0, 0.0)
LEAD_S, SIREN_S, TAIL_S = 2.0, 10.0, 1.0
LEVEL_DBFS = -30.0
STREAM = 17
"""Of random numbers; keeps these draws apart from other parts with the same seed."""


_KINDS = {str(kind).replace("_", " "): (kind, "") for kind in SirenKind if kind is not SirenKind.HILO} | {
    f"two tones, {one.name.replace('_', ' ')}": (SirenKind.HILO, one.name) for one in TWO_TONES
}
"""Name -> kind, and standard of a two-tone siren."""


@dataclass(frozen=True, slots=True)
class KindFigures:
    """One kind at one SNR.

    Attributes:
        kind: its name; a two-tone siren's with its standard.
        snr_db: siren against traffic, over the siren's ten seconds.
        takes: how many there were.
        heard: preset -> in how many an event was reported while or after the siren sounded.
        median_delay_s: preset -> from the siren's beginning to the report, of those heard; None where none was.
    """

    kind: str
    snr_db: float
    takes: int
    heard: dict[str, int]
    median_delay_s: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class SirenKindFigures:
    """All kinds with the protocol."""

    kinds: tuple[KindFigures, ...]
    protocol: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return JSON types."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class KindTake:
    """What to render: the kind by its name in `kind_names`, the SNR, and the draw."""

    kind: str
    snr_db: float
    seed: tuple[int, ...]


def kind_names() -> tuple[str, ...]:
    """All kinds, two-tone sirens by their standards."""
    return tuple(_KINDS)


def render_take(take: KindTake) -> NDArray[np.float32]:
    """Traffic alone for LEAD_S, then with the siren in it, then alone again: float32[n] at 16 kHz."""
    rng = np.random.default_rng(take.seed)
    siren = random_street(rng, synthesize(_parameters(take.kind, rng), SIREN_S), SAMPLE_RATE_HZ)
    begin = round(LEAD_S * SAMPLE_RATE_HZ)
    mixed = set_level(traffic(rng, begin + len(siren) + round(TAIL_S * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ), 0.0)
    mixed[begin : begin + len(siren)] += set_level(siren, take.snr_db)
    return np.asarray(set_level(mixed, LEVEL_DBFS), dtype=np.float32)


def measure_siren_kinds(
    subjects: Sequence[Subject],
    seed: int,
    takes: int = TAKES,
    kinds: Sequence[str] = (),
    jobs: int = 1,
    advance: Callable[[int, int], None] = lambda *_: None,
) -> SirenKindFigures:
    """Let `subjects` hear `takes` of all or some `kinds` at every SNR, in turns where they are several."""
    names = tuple(kinds) or kind_names()
    plan = [
        KindTake(kind, snr_db, (seed, STREAM, number, draw))
        for snr_db in SNR_DB
        for number, kind in enumerate(names)
        for draw in range(takes)
    ]
    delays: dict[KindTake, dict[str, float | None]] = {}
    for turn, subject in enumerate(subjects):
        mine = [take for take in plan if take.seed[-1] % len(subjects) == turn]
        for take, found in zip(mine, map_with_subject(_delays, subject, mine, jobs), strict=True):
            delays[take] = found
            advance(len(delays), len(plan))
    figures = tuple(_figures(kind, snr_db, delays) for snr_db in SNR_DB for kind in names)
    protocol = {
        "seed": seed,
        "takes": takes,
        "sirens": f"synthesized, {SIREN_S:g} s, a moving vehicle in a street; other draws than in training",
        "background": f"synthesized traffic, {LEAD_S:g} s of it before the siren; together at {LEVEL_DBFS:g} dBFS",
    }
    return SirenKindFigures(figures, protocol)


def _parameters(name: str, rng: np.random.Generator) -> SirenParameters:
    """Draw a siren of this kind; a two-tone one again until it is of this standard."""
    kind, region = _KINDS[name]
    while True:
        drawn = SirenParameters.random(kind, rng)
        if drawn.region == region:
            return drawn


def _delays(subject: Subject, take: KindTake) -> dict[str, float | None]:
    """Seconds from the siren's beginning to the first event reported after it, by preset; None where there was none."""
    posteriors = subject.score_audio(render_take(take), LABEL)[:, subject.labels.index(LABEL)].tolist()
    found: dict[str, float | None] = {}
    for preset in PRESET_SENSITIVITY:
        detector = LabelDetector(LABEL, getattr(subject.presets, preset)[LABEL], subject.hop_s)
        decisions = [one for value in posteriors if (one := detector.push(value)) is not None]
        reported = [one.decided_s - LEAD_S for one in decisions if one.phase == "onset" and one.decided_s > LEAD_S]
        found[preset] = round(min(reported), 3) if reported else None
    return found


def _figures(kind: str, snr_db: float, delays: dict[KindTake, dict[str, float | None]]) -> KindFigures:
    found = [one for take, one in delays.items() if take.kind == kind and take.snr_db == snr_db]
    heard: dict[str, int] = {}
    median_s: dict[str, float | None] = {}
    for preset in PRESET_SENSITIVITY:
        told = [delay_s for one in found if (delay_s := one[preset]) is not None]
        heard[preset] = len(told)
        median_s[preset] = round(float(np.median(told)), 2) if told else None
    return KindFigures(kind, snr_db, len(found), heard, median_s)
