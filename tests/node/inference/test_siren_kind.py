"""Kinds of sirens: right or `unknown`, clean and in noise, whatever the cutting; and where they are shown."""

from collections import Counter
from functools import cache
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.street_sirens import HOP_S, KINDS, bands_hz, log_mel, street

from earshot_node.contract.manifest import MelRange
from earshot_node.inference.siren_kind import SPAN_S, KindCollector, find_recurrence, siren_kind
from earshot_node.inference.siren_ridge import LOWEST_HZ, Frames, find_ridge, mel_centres_hz
from earshot_node.synth.filters import Samples
from earshot_node.synth.sirens import SirenKind, SirenParameters, synthesize
from earshot_node.synth.traps import synthesize_trap

SIRENS_EACH = 8


def kind_of(samples: Samples) -> str:
    return siren_kind(log_mel(samples), HOP_S, bands_hz())


def verdicts(kind: SirenKind, snr_db: float | None) -> Counter[str]:
    said: Counter[str] = Counter()
    for seed in range(SIRENS_EACH):
        siren, road = street(kind, 61, seed)
        background = road * np.float32(10.0 ** (-(snr_db if snr_db is not None else 60.0) / 20.0))
        said[kind_of(siren + background)] += 1
    return said


@pytest.mark.parametrize(("snr_db", "least_right"), [(None, 30), (10.0, 29), (0.0, 20)])
def test_sirens_in_a_street_are_named_right_or_not_at_all(snr_db: float | None, least_right: int) -> None:
    right = wrong = 0
    for kind, name in KINDS.items():
        said = verdicts(kind, snr_db)
        right += said[name]
        wrong += SIRENS_EACH - said[name] - said["unknown"]
    assert right >= least_right, f"{right} of {4 * SIRENS_EACH} right"
    assert wrong <= 1


def test_phaser_is_no_yelp() -> None:
    said = verdicts(SirenKind.PHASER, None)
    assert said["unknown"] >= SIRENS_EACH - 1


@pytest.mark.parametrize("trap", ["traffic", "wind", "dog_bark", "bird_chirps"])
def test_what_has_no_steady_or_moving_pitch_has_no_kind(trap: str) -> None:
    said = {kind_of(synthesize_trap(trap, np.random.default_rng(seed), 6.0)) for seed in range(3)}
    assert said == {"unknown"}


def test_second_of_sound_is_too_short_to_tell() -> None:
    siren, _ = street(SirenKind.YELP, 61, 0)
    assert kind_of(siren) == "yelp"
    assert kind_of(siren[:16_000]) == "unknown"


@pytest.mark.parametrize(("kind", "period_s"), list(product([SirenKind.YELP, SirenKind.HILO], [0.28, 1.3])))
def test_recurrence_is_the_siren_s_period(kind: SirenKind, period_s: float) -> None:
    siren = SirenParameters(kind, 600.0, 1300.0, period_s=period_s, rise_share=0.5 if kind is SirenKind.YELP else 0.02)
    local_s, periods_s = (1.0, (0.04, 0.62)) if period_s < 0.5 else (3.0, (0.55, 3.3))
    found = find_recurrence(log_mel(synthesize(siren, 6.0)), HOP_S, local_s, periods_s, bands_hz())
    assert found.rate_hz == pytest.approx(1.0 / period_s, rel=0.05)
    assert found.peak > 0.6
    assert (found.trough < -0.5) == (kind is SirenKind.HILO)


def test_ridge_follows_a_rising_pitch_and_tells_a_glide_from_a_jump() -> None:
    wail = SirenParameters(SirenKind.WAIL, 500.0, 1400.0, period_s=4.0, curve=0.0)
    ridge = find_ridge(log_mel(synthesize(wail, 4.0)), HOP_S, bands_hz())
    pitch_hz = LOWEST_HZ * 2.0**ridge.octaves
    assert ridge.voiced_share > 0.9
    assert pitch_hz[100] == pytest.approx(500.0 * (1400.0 / 500.0) ** 0.5, rel=0.06)
    assert all(sweep.between > 0.4 for sweep in ridge.sweeps())
    two_tone = SirenParameters(SirenKind.HILO, 440.0, 720.0, period_s=2.0, rise_share=0.01)
    jumps = find_ridge(log_mel(synthesize(two_tone, 6.0)), HOP_S, bands_hz()).sweeps()
    assert len(jumps) >= 4
    assert all(jump.between < 0.1 for jump in jumps)


def test_mel_centres_are_the_htk_scale() -> None:
    centres_hz = mel_centres_hz(80)
    assert len(centres_hz) == 80
    assert 50.0 < centres_hz[0] < 90.0
    assert 7700.0 < centres_hz[-1] < 8000.0
    assert (np.diff(centres_hz) > 0).all()
    assert mel_centres_hz(64, (125.0, 7500.0))[[0, -1]] == pytest.approx([154.7, 7215.3], abs=0.1)


@pytest.mark.parametrize("range_hz", [(50.0, 8000.0), (125.0, 7500.0), (20.0, 6000.0)])
def test_pitch_is_found_wherever_the_bands_lie(range_hz: MelRange) -> None:
    centres_hz = mel_centres_hz(64, range_hz)
    frames = np.full((50, 64), -8.0, np.float32)
    for partial in (1, 2, 3):
        frames[:, int(np.abs(centres_hz - 880.0 * partial).argmin())] = -2.0
    octaves = find_ridge(frames, HOP_S, range_hz).octaves
    assert LOWEST_HZ * 2.0 ** octaves[25] == pytest.approx(880.0, rel=0.05)


@cache
def half_a_minute() -> Frames:
    """A wail that becomes a yelp after 12 s."""
    wail = SirenParameters(SirenKind.WAIL, 600.0, 1400.0, period_s=4.0)
    yelp = SirenParameters(SirenKind.YELP, 600.0, 1400.0, period_s=0.3)
    return np.concatenate([log_mel(synthesize(wail, 12.0)), log_mel(synthesize(yelp, 18.0))])


@settings(max_examples=8, deadline=None)
@given(st.lists(st.integers(1, 1200), min_size=1, max_size=4))
def test_cutting_does_not_change_the_kind(lengths: list[int]) -> None:
    frames, at, number, answers = half_a_minute(), 0, 0, {}
    collector = KindCollector(HOP_S, range_hz=bands_hz())
    questions = {600: (0.0, 6.0, 6.0), 1100: (2.0, 10.0, 11.0), 3000: (8.0, 29.0, 30.0)}
    while at < len(frames):
        length = lengths[number % len(lengths)]
        collector.push(frames[at : at + length])
        at, number = at + length, number + 1
        for when in [frame for frame in questions if frame <= at]:
            answers[when] = collector.kind(*questions.pop(when))
    assert answers == {600: "wail", 1100: "wail", 3000: "yelp"}


def test_collector_keeps_its_span_and_the_latest_push_and_no_more() -> None:
    collector = KindCollector(HOP_S)
    for _ in range(1000):
        collector.push(np.zeros((12, 80), np.float32))
    kept = sum(len(frames) for frames in collector._kept)
    assert SPAN_S / HOP_S <= kept <= SPAN_S / HOP_S + 24


def test_event_before_what_is_kept_is_unknown() -> None:
    collector = KindCollector(HOP_S, begin_s=100.0, range_hz=bands_hz())
    collector.push(half_a_minute()[:600])
    assert collector.kind(90.0, 99.0, 106.0) == "unknown"
    assert collector.kind(90.0, 106.0, 106.0) == "wail"
