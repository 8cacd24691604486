import numpy as np
import pytest

pytest.importorskip("torch", reason="torch is missing; run scripts/test without --node")

from earshot_trainer.training.held_out import recall_at_alarms

pytestmark = pytest.mark.torch
HOUR = 25 * 3600


def clip(posterior: float) -> "np.ndarray[tuple[int], np.dtype[np.float32]]":
    return np.full(100, posterior, dtype=np.float32)


def test_recall_is_that_at_the_lowest_threshold_within_the_alarms() -> None:
    quiet = np.zeros(HOUR, dtype=np.float32)
    for minute, posterior in enumerate((0.85, 0.65, 0.65, 0.3)):
        quiet[minute * 1500 : minute * 1500 + 50] = posterior
    sirens = [clip(posterior) for posterior in (0.9, 0.8, 0.6, 0.2)]
    assert recall_at_alarms(sirens, [quiet], (0.5, 1, 3, 4)) == {0.5: 0.25, 1: 0.5, 3: 0.75, 4: 1.0}


def test_no_siren_louder_than_all_that_is_quiet_is_no_recall() -> None:
    assert recall_at_alarms([clip(0.4)], [clip(0.5)], (1, 12)) == {1: 0.0, 12: 0.0}
