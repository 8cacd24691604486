"""Two models on the same audio: what both heard, and what only one did."""

from datetime import UTC, datetime, timedelta

from support.mqtt_node import event

from earshot_node.companion_listener import CompanionEvent, CompanionStep
from earshot_node.contract.deployment import ShadowReport
from earshot_node.contract.messages import EventMessage
from earshot_node.deployment.comparison import Comparison
from earshot_node.deployment.shadow import Shadow
from earshot_node.deployment.slots import Slot
from earshot_node.inference_thread import Step
from earshot_node.listener import Heard

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


def at(second: float) -> datetime:
    return NOON + timedelta(seconds=second)


def active(name: str, onset_s: float, offset_s: float | None = None) -> EventMessage:
    end = at(offset_s) if offset_s is not None else None
    phase = "onset" if end is None else "offset"
    return event(1).model_copy(update={"id": f"active-{name}", "phase": phase, "onset": at(onset_s), "offset": end})


def candidate(name: str, onset_s: float, offset_s: float | None = None, source: str = "street") -> CompanionEvent:
    end = at(offset_s) if offset_s is not None else None
    return CompanionEvent(f"candidate-{name}", source, "siren", at(onset_s), end, 0.7)


def compared(
    first: list[EventMessage], second: list[CompanionEvent], *, at_s: float = 1000.0
) -> tuple[int, int, int, list[str]]:
    comparison = Comparison()
    comparison.active(first)
    comparison.candidate(second)
    comparison.settle(at(at_s), 60)
    only = comparison.only
    return comparison.agreed, only["active"], only["candidate"], [one.id for one in comparison.latest]


def test_events_that_overlap_or_nearly_touch_are_one() -> None:
    assert compared([active("a", 10, 20)], [candidate("x", 15, 30)]) == (1, 0, 0, [])
    assert compared([active("a", 10, 20)], [candidate("x", 21.5, 30)]) == (1, 0, 0, [])


def test_events_apart_are_one_each_and_named() -> None:
    expected = (0, 1, 1, ["active-a", "candidate-x"])
    assert compared([active("a", 10, 20)], [candidate("x", 25, 30)]) == expected


def test_event_of_another_source_is_another_event() -> None:
    found = compared([active("a", 10, 20)], [candidate("x", 10, 20, source="yard")])
    assert found[:3] == (0, 1, 1)


def test_one_long_event_agrees_with_two_short_ones() -> None:
    found = compared([active("a", 10, 60)], [candidate("x", 12, 20), candidate("y", 40, 50)])
    assert found == (1, 0, 0, [])


def test_order_in_which_onsets_and_offsets_arrive_does_not_matter() -> None:
    comparison = Comparison()
    comparison.candidate([candidate("x", 10)])
    comparison.active([active("a", 11)])
    comparison.candidate([candidate("x", 10, 20)])
    comparison.active([active("a", 11, 19)])
    comparison.settle(at(1000), 60)
    assert (comparison.agreed, sum(comparison.only.values())) == (1, 0)


def test_nothing_is_counted_before_the_other_model_could_have_told() -> None:
    assert compared([active("a", 10, 20)], [], at_s=79)[:3] == (0, 0, 0)
    assert compared([active("a", 10, 20)], [], at_s=80)[:3] == (0, 1, 0)


def test_event_that_lasts_waits_for_its_end() -> None:
    assert compared([active("a", 10)], [])[:3] == (0, 0, 0)
    assert compared([active("a", 10)], [candidate("x", 12, 14)])[:3] == (0, 0, 0)


def test_only_the_latest_disagreements_are_kept_and_all_are_counted() -> None:
    found = compared([active(str(n), 10 * n, 10 * n + 1) for n in range(30)], [])
    assert found[1] == 30
    assert len(found[3]) == 20
    assert found[3][-1] == "active-29"


def test_shadow_reports_every_disagreement_and_once_a_minute() -> None:
    now = at(0)
    reports: list[ShadowReport | None] = []
    slot = Slot(name="siren", version="2099.1.0", file="x.earshot", sha256="ab" * 32)
    shadow = Shadow(slot, "2026.11.0", reports.append, clock=lambda: now)

    def step(*events: EventMessage) -> Step:
        heard = Heard("street", events, levels_dbfs=((-40.0, 25),))
        return Step((heard,), 1.0, 0.1, 25, CompanionStep("2099.1.0", (), 99.0, 0.02, None))

    shadow.hear(step(active("a", 0, 2)))
    now = at(100)
    shadow.hear(step())
    assert reports[-1] is not None
    assert (reports[-1].only_active, reports[-1].latest[0].id) == (1, "active-a")
    before = len(reports)
    for _ in range(120):
        shadow.hear(step())
    assert len(reports) - before == 2
    assert reports[-1].real_time_factor == 0.02


def test_shadow_ignores_another_companion() -> None:
    reports: list[ShadowReport | None] = []
    slot = Slot(name="siren", version="2099.1.0", file="x.earshot", sha256="ab" * 32)
    shadow = Shadow(slot, "2026.11.0", reports.append)
    shadow.hear(Step((), 1.0, 0.1, 25, CompanionStep("2098.1.0", (), 99.0, 0.02, None)))
    assert reports == []
