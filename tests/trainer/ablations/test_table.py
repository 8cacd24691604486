"""The table's arithmetic on rows that are given."""

import pytest

pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.ablations.results import Result
from earshot_trainer.ablations.table import difference, markdown, spread, verdict

pytestmark = pytest.mark.torch


def result(variant: str, part: str, seed: int, ap: float, **values: object) -> Result:
    given: dict[str, object] = {
        "variant": variant,
        "seed": seed,
        "part": part,
        "steps": 1875,
        "recipe": "siren.yaml",
        "parameters": 127_953,
        "auc": 0.9,
        "ap": ap - 0.01,
        "auc_half_second": 0.95,
        "ap_half_second": ap,
        "recall_at_1": 0.25,
        "recall_at_4": 0.5,
        "recall_at_12": None,
        "ms_per_hop": 0.6,
        "base_ms_per_hop": 0.4,
        "trained_s": 300.0,
        "dataset_sha256": "0" * 64,
        "code_version": "1",
    }
    return Result.model_validate(given | values)


BASE = [result("base", "b", 1, 0.88), result("base", "b", 2, 0.90), result("base", "c", 1, 0.75)]


def test_spread_is_the_greatest_difference_between_seeds_of_one_part() -> None:
    assert spread(BASE) == pytest.approx(0.02)
    assert spread([*BASE, result("base", "c", 2, 0.70), result("base", "c", 3, 0.73)]) == pytest.approx(0.05)
    assert spread([BASE[0], BASE[2]]) is None


def test_difference_is_over_the_parts_and_seeds_that_both_ran() -> None:
    lstm = [result("lstm", "b", 1, 0.90), result("lstm", "c", 1, 0.71), result("lstm", "a", 1, 0.99)]
    assert difference(lstm, BASE) == pytest.approx((0.02 - 0.04) / 2)
    assert difference([lstm[2]], BASE) is None


@pytest.mark.parametrize(
    ("aps", "said"),
    [
        ((0.90, 0.92), "+.020: within the spread"),
        ((0.91, 0.93), "+.030: gain"),
        ((0.85, 0.86), "-.035: loss"),
        ((0.90, 0.96), "+.040: within the spread"),
    ],
)
def test_only_what_is_beyond_the_greater_spread_is_a_gain_or_a_loss(aps: tuple[float, float], said: str) -> None:
    assert verdict([result("lstm", "b", seed, ap) for seed, ap in zip((1, 2), aps, strict=True)], BASE) == said


def test_one_run_or_no_spread_is_no_verdict() -> None:
    assert verdict([result("lstm", "b", 1, 0.99)], BASE) == "+.110: one seed, no verdict"
    lstm = [result("lstm", "b", 1, 0.99), result("lstm", "c", 1, 0.99)]
    assert verdict(lstm, [BASE[0], BASE[2]]) == "+.175: no spread, no verdict"
    assert verdict(lstm, []) == "no run of the base beside it"


def test_table_shows_means_spread_and_what_time_is_measured() -> None:
    text = markdown([result("pcen", "b", 1, 0.9, parameters=128_273, recall_at_1=0.35), *BASE])
    base, pcen = text.splitlines()[2:4]
    assert base == (
        "| GRU and wavelets (as it is) | b 1, b 2, c 1 | 127,953 | .950, .843 | .020 |  | .25, .50, - | "
        "0.60 (x 1.50) | 300 s |"
    )
    assert pcen.startswith("| PCEN instead of the normalized logarithm | b 1 | 128,273 | .950, .900 | - | +.020: one")
    assert ".35, .50, -" in pcen
    assert "not onnxruntime's time" in text


def test_table_tells_when_rows_were_made_by_different_code() -> None:
    assert "different code" not in markdown(BASE)
    assert "different code: 1, 2" in markdown([*BASE, result("lstm", "b", 1, 0.9, code_version="2")])
