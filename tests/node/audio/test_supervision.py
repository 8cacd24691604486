import logging
from collections.abc import Callable

import pytest

from earshot_node.audio.backoff import Backoff
from earshot_node.audio.condition import HEALTHY, SILENT
from earshot_node.audio.supervision import SETTLED_AFTER_S, Phase, Supervision

LOGGER = "earshot_node.audio.supervision"


class Changes(list[tuple[str, str]]):
    """Remembers every reported change of one source."""

    def __init__(self) -> None:
        super().__init__()
        self.source = Supervision("hall", Backoff(random=lambda: 0.0), self._remember)

    def _remember(self) -> None:
        self.append((self.source.state, self.source.problem))


@pytest.fixture
def changes() -> Changes:
    return Changes()


def open_and_fail(source: Supervision, problem: str = "gone") -> float:
    source.opening()
    return source.failed(problem)


def test_delays_double_up_to_the_cap() -> None:
    backoff = Backoff(first_s=0.5, longest_s=30, random=lambda: 0.0)
    assert [backoff.next_delay_s() for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_shortens_a_delay_by_at_most_half() -> None:
    assert Backoff(first_s=2, random=lambda: 1.0).next_delay_s() == 1.0
    assert Backoff(first_s=2, random=lambda: 0.5).next_delay_s() == 1.5


def test_source_is_opened_for_ever(changes: Changes) -> None:
    delays = [open_and_fail(changes.source) for _ in range(1000)]
    assert delays[0] == 0.5
    assert delays[-1] == 30
    assert changes == [("absent", "gone")]


def test_series_of_failures_logs_one_warning_and_recovery_one_info(
    changes: Changes, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    for problem in ("gone", "gone", "still gone", "gone"):
        open_and_fail(changes.source, problem)
    changes.source.opening()
    for _ in range(100):
        changes.source.delivered(0.04, HEALTHY)
    levels = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert levels == [
        ("WARNING", "source hall is absent: gone"),
        ("DEBUG", "source hall is absent: still gone"),
        ("DEBUG", "source hall is absent: gone"),
        ("INFO", "source hall is healthy"),
    ]


def test_every_change_is_reported_once(changes: Changes) -> None:
    source = changes.source
    source.opening()
    for condition in (None, HEALTHY, HEALTHY, SILENT, SILENT, HEALTHY):
        source.delivered(0.04, condition)
    source.stalled("nothing comes")
    source.stalled("nothing comes")
    assert source.failed("nothing comes", "stalled") == 0.5
    source.opening()
    source.delivered(0.04, HEALTHY)
    states = ["healthy", "silent", "healthy", "stalled", "healthy"]
    assert [state for state, _ in changes] == states
    assert source.reopened == 1


def test_undecided_signal_keeps_the_state(changes: Changes) -> None:
    open_and_fail(changes.source)
    changes.source.opening()
    changes.source.delivered(0.04, None)
    assert changes.source.state == "absent"


def test_back_off_begins_anew_only_after_settled_delivery(changes: Changes) -> None:
    source = changes.source
    for _ in range(3):
        source.opening()
        source.delivered(SETTLED_AFTER_S / 2, HEALTHY)
        delay_s = source.failed("broke off")
    assert delay_s == 2.0
    source.opening()
    source.delivered(SETTLED_AFTER_S, HEALTHY)
    assert source.failed("broke off") == 0.5


def test_reopened_counts_openings_that_delivered(changes: Changes) -> None:
    source = changes.source
    open_and_fail(source)
    for _ in range(3):
        source.opening()
        source.delivered(0.04, HEALTHY)
        source.failed("broke off")
    open_and_fail(source)
    assert source.reopened == 2


def test_finite_source_ends(changes: Changes) -> None:
    changes.source.opening()
    changes.source.delivered(0.04, HEALTHY)
    changes.source.ended()
    assert changes == [("healthy", ""), ("ended", "")]
    assert changes.source.phase is Phase.ENDED


@pytest.mark.parametrize(
    "step",
    [
        lambda source: source.delivered(1.0, HEALTHY),
        lambda source: source.stalled("x"),
        lambda source: source.failed("x"),
        lambda source: source.ended(),
    ],
)
def test_step_without_opening_raises_and_changes_nothing(
    step: Callable[[Supervision], object], changes: Changes
) -> None:
    with pytest.raises(RuntimeError, match="hall is waiting"):
        step(changes.source)
    assert changes == []
    assert changes.source.phase is Phase.WAITING


def test_opening_twice_raises(changes: Changes) -> None:
    changes.source.opening()
    with pytest.raises(RuntimeError, match="hall is opening"):
        changes.source.opening()
    assert changes.source.phase is Phase.OPENING
