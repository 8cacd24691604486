"""How the demo judges what was heard."""

from earshot_node.demo.story import EARLY_S, LATE_S, Heard, Story, Truth

HORN = Truth(2.0, 5.0, is_siren=False, note="horn")
WAIL = Truth(8.0, 20.0, is_siren=True, note="wail")
YELP = Truth(30.0, 40.0, is_siren=True, note="yelp")


def event(onset_s: float, offset_s: float | None, received_s: float | None = None) -> Heard:
    return Heard(onset_s, onset_s + 1.0 if received_s is None else received_s, 0.01, "siren", 90, offset_s)


def story(*events: Heard) -> Story:
    return Story(60.0, (HORN, WAIL, YELP), {str(number): one for number, one in enumerate(events)})


def test_event_inside_a_siren_is_that_siren() -> None:
    told = story(event(9.0, 19.0))
    assert [siren for siren, _ in told.found()] == [WAIL]
    assert told.false_alarms() == []
    assert told.ignored_traps() == [HORN]


def test_event_that_lasts_still_finds_its_siren() -> None:
    assert [siren for siren, _ in story(event(9.0, None)).found()] == [WAIL, YELP]


def test_event_in_a_trap_is_a_false_alarm_and_finds_nothing() -> None:
    told = story(event(2.5, 4.0))
    assert told.found() == []
    assert len(told.false_alarms()) == 1
    assert told.ignored_traps() == []


def test_event_that_a_trap_set_off_is_false_even_when_it_lasts_into_a_siren() -> None:
    told = story(event(3.0, 12.0))
    assert [siren for siren, _ in told.found()] == [WAIL]
    assert len(told.false_alarms()) == 1


def test_slack_before_and_after_a_siren_ends() -> None:
    assert story(event(WAIL.onset_s - EARLY_S, 9.0)).false_alarms() == []
    assert len(story(event(WAIL.onset_s - EARLY_S - 0.01, 9.0)).false_alarms()) == 1
    assert story(event(WAIL.offset_s + LATE_S, 22.0)).false_alarms() == []
    assert len(story(event(WAIL.offset_s + LATE_S + 0.01, 22.0)).false_alarms()) == 1


def test_first_of_several_events_gives_the_delay() -> None:
    told = story(event(14.0, 19.0, 14.5), event(8.5, 12.0, 9.5), event(31.0, 40.0, 33.0))
    assert told.median_notice_s() == 2.25


def test_siren_heard_before_it_rises_counts_as_no_delay() -> None:
    assert story(event(7.0, 19.0, 7.5)).median_notice_s() == 0.0


def test_nothing_heard_has_no_medians() -> None:
    told = story()
    assert told.median_notice_s() is None
    assert told.median_delay_s() is None
    assert told.ignored_traps() == [HORN]
