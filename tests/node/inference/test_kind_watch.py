"""A siren's kind is told while it sounds: once, when two looks agree, whatever the cutting."""

from collections import Counter
from functools import cache
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.street_sirens import HOP_S, KINDS, bands_hz, log_mel, model, street

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block
from earshot_node.drill.siren import drill_siren
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.facts import Fact, KindTold, Offset, Onset
from earshot_node.inference.kind_watch import FIRST_LOOK_S, LAST_LOOK_S, LOOK_EVERY_S, KindWatch
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference.siren_kind import KindCollector
from earshot_node.synth.filters import Samples
from earshot_node.synth.sirens import SirenKind

SIRENS_EACH = 6


class Script:
    """Answers looks with the given kinds in turn, then `unknown`; notes when it was asked."""

    def __init__(self, *kinds: str) -> None:
        self.kinds = list(kinds)
        self.looks_s: list[float] = []

    def kind(self, onset_s: float, offset_s: float, decided_s: float) -> str:
        assert onset_s < offset_s == decided_s
        self.looks_s.append(offset_s)
        return self.kinds.pop(0) if self.kinds else "unknown"


def look(watch: KindWatch, script: Script, until_s: float) -> float | None:
    return watch.advance(cast("KindCollector", script), until_s)


def test_two_looks_in_a_row_that_agree_are_told_once() -> None:
    watch, script = KindWatch(10.0, 10.2), Script("wail", "unknown", "yelp", "yelp", "wail", "wail")
    assert look(watch, script, 12.9) is None
    assert watch.kind == "unknown"
    assert look(watch, script, 13.0) == 13.0
    assert watch.kind == "yelp"
    assert look(watch, script, 20.0) is None
    assert script.looks_s == [11.5, 12.0, 12.5, 13.0]


def test_two_unknown_looks_say_nothing() -> None:
    watch, script = KindWatch(0.0, 0.0), Script()
    assert look(watch, script, 5.0) is None
    assert len(script.looks_s) == 8


def test_kind_that_was_known_at_the_report_is_not_told_again_and_stays_what_is_known() -> None:
    watch, script = KindWatch(0.0, 1.3, "yelp"), Script("yelp", "yelp", "wail", "wail")
    assert look(watch, script, 5.0) is None
    assert watch.kind == "yelp"
    assert len(script.looks_s) == 2
    unsure = KindWatch(0.0, 1.3, "yelp")
    assert look(unsure, Script("unknown", "wail"), 5.0) is None
    assert unsure.kind == "yelp"


def test_another_kind_than_that_at_the_report_is_told() -> None:
    watch = KindWatch(0.0, 1.3, "yelp")
    assert look(watch, Script("wail", "wail"), 5.0) == 2.0
    assert watch.kind == "wail"


def test_nobody_looks_before_the_siren_is_reported_or_for_ever() -> None:
    watch, script = KindWatch(10.0, 12.3), Script()
    assert look(watch, script, 100.0) is None
    assert script.looks_s[0] == 12.5
    assert script.looks_s[-1] == 10.0 + LAST_LOOK_S


def told_in_street(kind: SirenKind, seed: int, snr_db: float) -> tuple[str, float | None]:
    siren, road = street(kind, 67, seed)
    frames = log_mel(siren + road * np.float32(10.0 ** (-snr_db / 20.0)))
    collector = KindCollector(HOP_S, range_hz=bands_hz())
    collector.push(frames)
    watch = KindWatch(0.0, 0.5)
    told_s = watch.advance(collector, len(frames) * HOP_S)
    return watch.kind, told_s


@pytest.mark.parametrize(("snr_db", "least_right"), [(60.0, 22), (10.0, 21)])
def test_sirens_in_a_street_are_named_soon_and_right_or_not_at_all(snr_db: float, least_right: int) -> None:
    said: Counter[str] = Counter()
    times_s: list[float] = []
    for siren, name in KINDS.items():
        for seed in range(SIRENS_EACH):
            kind, told_s = told_in_street(siren, seed, snr_db)
            said["right" if kind == name else "unknown" if kind == "unknown" else "wrong"] += 1
            times_s += [told_s] if told_s is not None else []
    assert said["right"] >= least_right, said
    assert said["wrong"] <= 1, said
    assert np.median(times_s) <= 3.0


@cache
def two_drive_by() -> Samples:
    """Two yelps of 4 s and 2.6 s and 4 s of near silence behind each: all of a siren lies in a call of the model."""
    hush = (0.0005 * np.random.default_rng(1).standard_normal(4 * SAMPLE_RATE_HZ)).astype(np.float32)
    siren = drill_siren(-20.0)[SAMPLE_RATE_HZ:]
    return np.concatenate([siren[: 4 * SAMPLE_RATE_HZ], hush, siren[: round(2.6 * SAMPLE_RATE_HZ)], hush])


def facts_of(lengths: list[int]) -> list[Fact]:
    points = load_bundled().manifest.presets.balanced
    pipeline = Pipeline(model(), lambda _: {"siren": points["siren"]})
    facts: list[Fact] = []
    start = number = 0
    while start < len(two_drive_by()):
        samples = two_drive_by()[start : start + lengths[number % len(lengths)]]
        facts += pipeline.push([Block("mic", 3, start + 16000, samples, 0.0, 0.0)])
        start, number = start + len(samples), number + 1
    return facts + pipeline.flush("mic")


def told(facts: list[Fact]) -> list[tuple[str, float, float, str | None]]:
    return [
        (type(fact).__name__, round(onset_s, 6), round(fact.decided_s, 6), kind)
        for fact in facts
        if isinstance(fact, Onset | KindTold | Offset)
        for onset_s, kind in [
            (fact.onset_s, fact.kind) if isinstance(fact, KindTold) else (fact.event.onset_s, fact.event.kind)
        ]
    ]


def test_kind_is_told_between_onset_and_offset_in_the_stream_s_time() -> None:
    facts = told(facts_of([640]))
    assert facts == told_of_the_whole()
    begun, named, ended, *second = facts
    assert (begun[0], begun[3]) == ("Onset", "unknown")
    assert 1.0 <= begun[1] <= 2.5
    assert (named[0], named[1], named[3]) == ("KindTold", begun[1], "yelp")
    assert begun[2] < named[2]
    assert FIRST_LOOK_S + LOOK_EVERY_S <= named[2] - begun[1] <= 3.0
    assert (ended[0], ended[3]) == ("Offset", "yelp")
    assert [name for name, *_ in second] in (["Onset", "Offset"], ["Onset", "KindTold", "Offset"])


@cache
def told_of_the_whole() -> list[tuple[str, float, float, str | None]]:
    return told(facts_of([len(two_drive_by())]))


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 100_000), min_size=1, max_size=4))
def test_same_audio_cut_into_any_blocks_is_named_at_the_same_time(lengths: list[int]) -> None:
    """Also where a whole siren, its kind and its end come of one call of the model."""
    assert told(facts_of(lengths)) == told_of_the_whole()
