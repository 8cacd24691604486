"""Every kind of siren is rendered, heard and counted; the shipped model has forgotten none."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from earshot_node.synth.two_tone import TWO_TONES
from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.siren_kinds import (
    LEAD_S,
    SIREN_S,
    SNR_DB,
    KindTake,
    kind_names,
    measure_siren_kinds,
    render_take,
)
from earshot_trainer.evaluate.siren_kinds_table import heard_text
from earshot_trainer.evaluate.subject import stand_in_presets

RATE_HZ = 16_000


class Loudness:
    """Hears a siren wherever it is louder than `threshold_dbfs` for 40 ms."""

    labels = ("siren",)
    hop_s = 0.04
    presets = stand_in_presets(("siren",))

    def __init__(self, threshold_dbfs: float) -> None:
        self.threshold_dbfs = threshold_dbfs
        self.heard: list[bytes] = []

    def score_audio(self, samples: NDArray[np.float32], label: str | None = None) -> NDArray[np.float32]:
        self.heard.append(samples.tobytes())
        power = np.square(samples[: len(samples) // 640 * 640].reshape(-1, 640)).mean(axis=1)
        return (10 * np.log10(power + 1e-12) > self.threshold_dbfs).astype(np.float32)[:, None]


def levels_dbfs(samples: NDArray[np.float32]) -> tuple[float, float, float]:
    """Before, during and after the siren."""
    begin, end = round(LEAD_S * RATE_HZ), round((LEAD_S + SIREN_S) * RATE_HZ)
    before, siren, after = (np.square(part).mean() for part in np.split(samples, [begin, end]))
    return tuple(float(10 * np.log10(power)) for power in (before, siren, after))


def test_every_kind_and_every_two_tone_standard_has_a_name() -> None:
    names = kind_names()
    assert len(set(names)) == len(names) == 6 + len(TWO_TONES)
    assert {"wail", "civil defence", "two tones, japan ambulance"} <= set(names)


@pytest.mark.parametrize("kind", ["yelp", "two tones, france fire"])
def test_take_has_the_siren_at_its_snr_after_a_lead(kind: str) -> None:
    loud, soft = (levels_dbfs(render_take(KindTake(kind, snr_db, (3, 1)))) for snr_db in (20.0, 0.0))
    assert loud[1] - loud[0] == pytest.approx(20.0, abs=4.0)
    assert soft[1] - soft[0] == pytest.approx(3.0, abs=3.0)
    assert loud[0] == pytest.approx(loud[2], abs=5.0)


def test_same_draw_gives_the_same_take_and_another_one_another() -> None:
    first, again, other = (render_take(KindTake("wail", 10.0, (1, 2, draw))) for draw in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_recall_and_delay_are_those_of_the_detector() -> None:
    some = ("wail", "yelp", "two tones, germany")
    found = measure_siren_kinds([Loudness(-33.0)], seed=1, takes=3, kinds=some)  # traffic alone has -38 dBFS and less
    assert [(one.kind, one.snr_db) for one in found.kinds] == [(kind, snr_db) for snr_db in SNR_DB for kind in some]
    loud = found.kinds[: len(some)]
    assert all(one.takes == 3 for one in found.kinds)
    assert sum(one.heard["balanced"] for one in loud) >= 8
    assert all(0 < one.median_delay_s["balanced"] < SIREN_S for one in loud)
    deaf = measure_siren_kinds([Loudness(0.0)], seed=1, takes=1, kinds=some)
    assert {one.heard["sensitive"] for one in deaf.kinds} == {0}
    assert {one.median_delay_s["sensitive"] for one in deaf.kinds} == {None}


def test_several_models_take_turns_over_the_same_takes() -> None:
    alone, first, second = Loudness(-33.0), Loudness(-33.0), Loudness(-33.0)
    whole, shared = (
        measure_siren_kinds(subjects, 1, takes=2, kinds=["wail", "phaser"]).kinds
        for subjects in ([alone], [first, second])
    )
    assert whole == shared
    assert len(first.heard) == len(second.heard) == len(alone.heard) / 2
    assert sorted(first.heard + second.heard) == sorted(alone.heard)


def test_text_names_the_delay_only_where_something_was_heard() -> None:
    found = measure_siren_kinds([Loudness(-33.0)], seed=1, takes=1, kinds=["yelp"]).kinds[0]
    assert heard_text(replace(found, heard={"quiet": 1}, median_delay_s={"quiet": 0.52}), "quiet") == "1 of 1, 0.5 s"
    assert heard_text(replace(found, heard={"quiet": 0}, median_delay_s={"quiet": None}), "quiet") == "0 of 1"


@pytest.mark.timeout(300)
@pytest.mark.slow
def test_shipped_model_has_forgotten_no_kind() -> None:
    found = measure_siren_kinds([load_subject(None)], seed=2, takes=3)
    missed = {one.kind: one.heard["sensitive"] for one in found.kinds if one.snr_db == 10.0}
    assert min(missed.values()) >= 1, missed
    assert sum(missed.values()) >= 0.9 * 3 * len(missed), missed
