"""Speed is measured on the running model, and says on which machine and how."""

from pathlib import Path

import pytest
from support.bundles import LIGHT

pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")

from earshot_trainer.evaluate.loading import load_subject
from earshot_trainer.evaluate.sections import Material
from earshot_trainer.evaluate.speed import BLOCK_HOPS, SpeedFigures, measure_speed
from earshot_trainer.evaluate.tracks import Scored

pytestmark = pytest.mark.torch


def measured(bundle: Path | None) -> SpeedFigures:
    speed = measure_speed(load_subject(bundle), Scored({}, []), Material((), (), 1, 1), lambda *_: None)
    assert speed is not None
    return speed


def test_finding_the_kinds_of_events_costs_less_than_small_calls() -> None:
    speed = measured(LIGHT)
    assert speed.throughput_in_sirens > next(iter(speed.by_call.values()))


def test_longer_blocks_are_faster_and_a_live_decision_is_faster_than_real_time() -> None:
    speed = measured(None)
    rates = list(speed.by_call.values())
    assert list(speed.by_call) == ["0.04 s", "0.2 s", "1 s", "10 s"]
    assert len(rates) == len(BLOCK_HOPS)
    assert rates[-1] > rates[0] > 1
    assert speed.throughput == max(rates)
    assert 1 < speed.throughput_in_sirens < speed.throughput  # there the shipped model asks for second opinions
    assert 0 < speed.live_median_ms < 40
    assert speed.live_median_ms <= speed.live_p99_ms
    assert speed.protocol["threads"] == 1
    assert speed.protocol["machine"]
