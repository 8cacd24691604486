"""What a drill makes the node hear stays from the household; a real siren that outlasts it does not."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
from support.mqtt_node import LONG_AGO, event

from earshot_node.companion_listener import CompanionEvent, CompanionStep
from earshot_node.contract.messages import EventMessage
from earshot_node.drill.injector import Injection
from earshot_node.drill.screen import Hold, Screen
from earshot_node.inference_thread import Step
from earshot_node.listener import Heard

NOW = datetime(2026, 11, 22, 11, 0, tzinfo=UTC)
HOP_S = 0.04


def step(*events: EventMessage, seconds: float = 0.0, source: str = "street", **extra: Any) -> Step:
    levels = ((-30.0, round(seconds / HOP_S)),) if seconds else ()
    return Step((Heard(source, events, levels_dbfs=levels, peaks={"siren": 0.9}, **extra),), seconds, 0.0, 0)


def told(passed: Step) -> list[tuple[str, str]]:
    return [(one.id, one.phase) for heard in passed.heard for one in heard.events]


class Drill:
    """A hold with what it told."""

    def __init__(self, screen: Screen) -> None:
        self.onsets: list[EventMessage] = []
        self.injection = Injection("street", np.zeros(10, np.float32))
        self.hold = Hold(self.injection, 4.0, self.onsets.append)
        screen.begin(self.hold)


def test_events_pass_while_there_is_no_drill() -> None:
    screen = Screen(HOP_S)
    one = step(event(1), seconds=1)
    assert screen.pass_on(one) == one
    assert screen.is_sounding("street")
    assert not screen.is_sounding("yard")
    screen.pass_on(step(event(1, "offset")))
    assert not screen.is_sounding("street")


def test_siren_of_the_drill_is_told_to_the_drill_only() -> None:
    screen = Screen(HOP_S)
    drill = Drill(screen)
    passed = [screen.pass_on(step(event(1), seconds=1)), screen.pass_on(step(event(1, "offset"), seconds=1))]
    screen.end()
    passed.append(screen.pass_on(step(seconds=1)))
    assert [told(one) for one in passed] == [[], [], []]
    assert drill.onsets == [event(1)]
    assert not screen.is_sounding("street")


def named(number: int, kind: str) -> EventMessage:
    return event(number).model_copy(update={"kind": kind})


def test_kind_of_the_drill_s_siren_is_told_to_nobody() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    screen.pass_on(step(event(1), seconds=1))
    passed = screen.pass_on(step(seconds=1, named=(named(1, "yelp"),)))
    assert [heard.named for heard in passed.heard] == [()]


def test_kind_of_a_siren_that_outlasts_the_drill_is_told_with_it() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    screen.pass_on(step(event(1), seconds=1))
    screen.pass_on(step(seconds=1, named=(named(1, "wail"),)))
    screen.end()
    passed = screen.pass_on(step(seconds=1))
    assert [one.kind for heard in passed.heard for one in heard.events] == ["wail"]


def test_kind_of_a_siren_that_the_household_knows_of_is_told() -> None:
    screen = Screen(HOP_S)
    screen.pass_on(step(event(1), seconds=1))
    passed = screen.pass_on(step(seconds=1, named=(named(1, "hi_lo"),)))
    assert [heard.named for heard in passed.heard] == [(named(1, "hi_lo"),)]


def test_levels_and_confidence_of_the_drill_are_not_told() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    (heard,) = screen.pass_on(step(seconds=1)).heard
    assert (heard.levels_dbfs, heard.peaks) == ((), {})
    (other,) = screen.pass_on(step(seconds=1, source="yard")).heard
    assert other.peaks


def test_siren_that_outlasts_the_drill_is_let_through_as_of_now() -> None:
    screen = Screen(HOP_S, clock=lambda: NOW)
    drill = Drill(screen)
    screen.pass_on(step(event(1), seconds=1))
    screen.end()
    passed = screen.pass_on(step(seconds=1))
    assert told(passed) == [("street-00000001", "onset")]
    assert passed.heard[-1].events[0].decided == NOW
    assert passed.heard[-1].events[0].onset == LONG_AGO
    assert told(screen.pass_on(step(event(1, "offset"), seconds=1))) == [("street-00000001", "offset")]
    assert drill.onsets == [event(1)]


def test_siren_that_ends_in_the_step_that_ends_the_drill_is_the_drills() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    screen.pass_on(step(event(1), seconds=1))
    screen.end()
    assert told(screen.pass_on(step(event(1, "offset"), seconds=1))) == []


def test_siren_that_sounded_before_the_drill_ends_as_usual() -> None:
    screen = Screen(HOP_S)
    screen.pass_on(step(event(1), seconds=1))
    Drill(screen)
    assert told(screen.pass_on(step(event(1, "offset"), seconds=1))) == [("street-00000001", "offset")]


def test_other_sources_alarm_during_a_drill() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    assert told(screen.pass_on(step(event(2, source="yard"), seconds=1, source="yard")))


def test_clip_of_the_drill_is_dropped_also_when_it_comes_later() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    screen.pass_on(step(event(1), seconds=1))
    screen.end()
    screen.pass_on(step(event(1, "offset"), seconds=1))

    class Clip:
        def __init__(self, number: int) -> None:
            self.event = event(number, "offset")

    (heard,) = screen.pass_on(step(clips=(Clip(1), Clip(2)), sketches=(Clip(1), Clip(2)))).heard
    assert [clip.event.id for clip in heard.clips] == ["street-00000002"]
    assert [sketch.event.id for sketch in heard.sketches] == ["street-00000002"]


def test_model_on_trial_beside_is_not_blamed_for_the_drill() -> None:
    screen = Screen(HOP_S)
    Drill(screen)
    heard = CompanionEvent("x", "street", "siren", LONG_AGO, None, 0.9)
    beside = Step((), 0, 0, 0, CompanionStep("2026.12.0", (heard,), 10.0, 0.1, None))
    passed = screen.pass_on(beside)
    assert passed.companion is not None
    assert passed.companion.events == ()


def test_drill_is_over_when_its_audio_and_the_grace_have_been_judged() -> None:
    screen = Screen(HOP_S)
    screen.pass_on(step(seconds=10))
    drill = Drill(screen)
    screen.pass_on(step(seconds=20))
    assert not screen.is_over(drill.hold)
    drill.injection.end_s = 28.0
    assert not screen.is_over(drill.hold)
    screen.pass_on(step(seconds=2))
    assert screen.is_over(drill.hold)
