"""One alarm out of many microphones, whatever the order, the repeats and the gaps of what nodes say."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.house.fusion import Began, Change, Ended, Fusion
from earshot_node.house.microphone import STALE_S

WINDOW_S, QUIET_S = 10.0, 8.0
ROOMS = ("hall", "attic", "cellar", "yard")


def house(needed: int = 1, online: tuple[str, ...] = ROOMS) -> Fusion:
    fusion = Fusion(needed, WINDOW_S, QUIET_S)
    for node in ROOMS:
        fusion.info(node, {"mic": (f"{node} microphone", node)})
    for node in online:
        fusion.status(node, 0.0, online=True)
    return fusion


def play(fusion: Fusion, *script: tuple[float, str, bool], until_s: float = 200.0) -> list[tuple[str, float]]:
    """Say what is in the script (time, node, ON or OFF), ON again each 12 s as nodes do; return changes, rounded."""
    found: list[tuple[str, float]] = []
    on: dict[str, float] = {}
    waiting = list(script)
    for second in range(int(until_s)):
        now_s = float(second)
        while waiting and waiting[0][0] <= now_s:
            _, node, is_on = waiting.pop(0)
            fusion.state(node, "mic", now_s, is_on=is_on)
            on.pop(node, None)
            if is_on:
                on[node] = now_s
        for node, told_s in on.items():
            if now_s - told_s >= 12:
                fusion.state(node, "mic", now_s, is_on=True)
                on[node] = now_s
        found += [(type(change).__name__, round(change.at_s)) for change in fusion.advance(now_s)]
    return found


def test_one_microphone_makes_an_alarm_and_its_end_after_the_quiet_time() -> None:
    assert play(house(), (5, "hall", True), (30, "hall", False)) == [("Began", 5), ("Ended", 30)]


def test_four_microphones_in_turn_make_one_alarm() -> None:
    script = [(5, "hall", True), (9, "attic", True), (12, "hall", False), (18, "yard", True), (20, "attic", False)]
    fusion = house()
    assert play(fusion, *script, (25, "yard", False)) == [("Began", 5), ("Ended", 25)]
    assert {one.node for one in fusion.part} == {"hall", "attic", "yard"}


def test_pause_longer_than_the_quiet_time_makes_two() -> None:
    found = play(house(), (5, "hall", True), (10, "hall", False), (19, "attic", True), (22, "attic", False))
    assert [name for name, _ in found] == ["Began", "Ended", "Began", "Ended"]


def test_two_are_needed_within_the_window() -> None:
    assert play(house(2), (5, "hall", True), (8, "hall", False), (14, "attic", True))[0] == ("Began", 5)
    assert play(house(2), (5, "hall", True), (8, "hall", False), (19, "attic", True)) == []


def test_second_one_counts_while_the_first_still_sounds() -> None:
    assert play(house(2), (5, "hall", True), (60, "attic", True))[0][0] == "Began"


def test_where_fewer_listen_than_are_needed_those_are_enough() -> None:
    assert play(house(3, online=("hall",)), (5, "hall", True))[0] == ("Began", 5)
    deaf = house(2, online=("hall", "attic"))
    deaf.health("attic", "mic", is_well=False)
    assert deaf.needed == 1
    assert [one.node for one in deaf.listening] == ["hall"]


def test_what_was_heard_before_the_last_end_does_not_count_again() -> None:
    fusion = Fusion(2, 60.0, 5.0)
    for node in ROOMS:
        fusion.status(node, 0.0, online=True)
        fusion.state(node, "mic", 0.0, is_on=False)
    script = [(5, "hall", True), (6, "attic", True), (8, "attic", False), (10, "hall", False), (20, "yard", True)]
    assert [name for name, _ in play(fusion, *script)] == ["Began", "Ended"]


def test_node_that_dies_while_on_ends_the_alarm() -> None:
    fusion = house()
    fusion.state("hall", "mic", 5.0, is_on=True)
    assert [type(one) for one in fusion.advance(5.0)] == [Began]
    fusion.status("hall", 9.0, online=False)
    assert fusion.advance(9.0 + QUIET_S - 1) == []
    assert fusion.advance(9.0 + QUIET_S) == [Ended(9.0)]


def test_on_that_is_not_repeated_ends_by_itself() -> None:
    fusion = house()
    fusion.state("hall", "mic", 5.0, is_on=True)
    found = [change for second in range(5, 120) for change in fusion.advance(float(second))]
    assert [type(one) for one in found] == [Began, Ended]
    assert found[1].at_s == pytest.approx(5 + STALE_S, abs=1.1)


@pytest.mark.parametrize("offline_first", [True, False])
def test_on_that_lies_at_the_broker_from_a_dead_node_is_nothing(*, offline_first: bool) -> None:
    fusion = house(online=("attic",))
    if offline_first:
        fusion.status("hall", 1.0, online=False)
    fusion.state("hall", "mic", 1.0, is_on=True)
    if not offline_first:
        fusion.status("hall", 1.0, online=False)
    fusion.state("attic", "mic", 300.0, is_on=False)
    assert [change for second in range(120) for change in fusion.advance(float(second))] == []
    two = house(2, online=("attic", "yard"))
    two.state("hall", "mic", 1.0, is_on=True)
    two.status("hall", 2.0, online=False)
    two.state("attic", "mic", 3.0, is_on=True)
    assert two.advance(3.0) == []


def test_on_before_online_counts_once_the_node_is_online() -> None:
    fusion = house(online=())
    fusion.state("hall", "mic", 5.0, is_on=True)
    assert fusion.advance(5.0) == []
    fusion.status("hall", 5.1, online=True)
    assert [type(one) for one in fusion.advance(5.1)] == [Began]


def test_node_that_is_removed_is_forgotten() -> None:
    fusion = house()
    fusion.state("hall", "mic", 5.0, is_on=True)
    fusion.advance(5.0)
    fusion.forget("hall")
    assert [type(one) for one in fusion.advance(5.0 + QUIET_S)] == [Ended]
    assert "hall" not in {one.node for one in (*fusion.listening, *fusion.away)}


def test_source_that_its_node_no_longer_has_is_gone() -> None:
    fusion = house()
    fusion.info("hall", {"other": ("Other", "Hall")})
    assert [one.source for one in fusion.listening if one.node == "hall"] == ["other"]


@pytest.mark.parametrize(
    ("levels", "movement"),
    [
        ([-50, -46, -40, -35], "approaching"),
        ([-35, -41, -45, -52], "receding"),
        ([-40, -40.3, -39.8, -40.1], "steady"),
        ([-40], "unknown"),
        ([-45, -40], "approaching"),
        ([-41, -40], "steady"),
    ],
)
def test_movement_is_how_the_level_goes(levels: list[float], movement: str) -> None:
    fusion = house()
    fusion.state("hall", "mic", 10.0, is_on=True)
    fusion.advance(10.0)
    for number, dbfs in enumerate(levels):
        fusion.level("hall", "mic", dbfs, 10.0 + 5 * number)
    assert fusion.movement(10.0 + 5 * len(levels)) == movement


def test_siren_that_passes_approaches_and_then_recedes() -> None:
    fusion, told = house(), []
    fusion.state("hall", "mic", 0.0, is_on=True)
    for number, dbfs in enumerate([-60, -55, -49, -42, -36, -37, -43, -50, -55, -60]):
        fusion.state("hall", "mic", 5.0 * number, is_on=True)
        fusion.level("hall", "mic", dbfs, 5.0 * number)
        fusion.advance(5.0 * number)
        told.append(fusion.movement(5.0 * number))
    turns = [one for at, one in enumerate(told) if at == 0 or told[at - 1] != one]
    assert turns[:2] == ["unknown", "approaching"]
    assert turns[-1] == "receding"
    assert set(turns) <= {"unknown", "approaching", "steady", "receding"}


def test_loudest_room_is_the_one_with_the_highest_level_while_it_sounds() -> None:
    fusion = house()
    fusion.level("yard", "mic", -5.0, 1.0)  # long before: something else
    for node, dbfs in (("hall", -30.0), ("attic", -22.0), ("yard", -41.0)):
        fusion.state(node, "mic", 30.0, is_on=True)
        fusion.level(node, "mic", dbfs, 31.0)
    fusion.advance(31.0)
    assert [one.room for one in fusion.part] == ["attic", "hall", "yard"]


def test_siren_is_taken_up_after_a_restart_only_while_somebody_hears_it() -> None:
    assert not house().take_up(5.0)
    fusion = house()
    fusion.state("hall", "mic", 4.0, is_on=True)
    assert fusion.take_up(5.0)
    assert fusion.advance(6.0) == []


@dataclass
class Word:
    """One thing that a node says; `wait_s` is the time before it."""

    wait_s: float
    node: str
    what: str
    value: float = field(default=0.0)

    def say(self, fusion: Fusion, now_s: float) -> None:
        match self.what:
            case "on" | "off":
                fusion.state(self.node, "mic", now_s, is_on=self.what == "on")
            case "online" | "offline":
                fusion.status(self.node, now_s, online=self.what == "online")
            case "well" | "deaf":
                fusion.health(self.node, "mic", is_well=self.what == "well")
            case "level":
                fusion.level(self.node, "mic", self.value, now_s)
            case _:
                fusion.forget(self.node)


WORDS = st.builds(
    Word,
    st.floats(0, 30),
    st.sampled_from(ROOMS),
    st.sampled_from(["on", "on", "on", "off", "off", "online", "offline", "well", "deaf", "level", "forget"]),
    st.floats(-120, 0),
)


def changes(words: list[Word], needed: int, repeats: int = 1) -> list[Change]:
    fusion, now_s, found = house(needed), 0.0, []
    for word in words:
        now_s += word.wait_s
        for _ in range(repeats):
            word.say(fusion, now_s)
            found += fusion.advance(now_s)
    return found + [change for second in range(200) for change in fusion.advance(now_s + second)]


@given(st.lists(WORDS, max_size=30), st.integers(1, 4))
@settings(deadline=None)
def test_beginnings_and_ends_alternate_and_every_siren_ends(words: list[Word], needed: int) -> None:
    found = changes(words, needed)
    assert [type(one) for one in found] == [Began, Ended] * (len(found) // 2)


@given(st.lists(WORDS, max_size=30), st.integers(1, 4))
@settings(deadline=None)
def test_messages_that_come_twice_change_nothing(words: list[Word], needed: int) -> None:
    assert changes(words, needed, repeats=2) == changes(words, needed)


@given(st.lists(WORDS, max_size=30))
@settings(deadline=None)
def test_nobody_said_on_is_no_alarm(words: list[Word]) -> None:
    assert changes([word for word in words if word.what != "on"], 1) == []


@given(st.lists(WORDS, max_size=30), st.integers(1, 4))
@settings(deadline=None)
def test_alarm_begins_only_when_enough_have_heard_it_and_somebody_does(words: list[Word], needed: int) -> None:
    fusion, now_s = house(needed), 0.0
    for word in words:
        now_s += word.wait_s
        word.say(fusion, now_s)
        for change in fusion.advance(now_s):
            if isinstance(change, Began):
                assert fusion.sounding(now_s)
                assert len(fusion.part) >= min(needed, max(1, len(fusion.listening)))
                assert now_s - WINDOW_S <= change.at_s <= now_s


@given(st.lists(WORDS, max_size=30), st.floats(-1e9, 1e9))
@settings(deadline=None)
def test_decisions_do_not_depend_on_where_the_clock_stands(words: list[Word], start_s: float) -> None:
    """Only differences of the house's own time count, never a time of day."""
    start_s = round(start_s)

    def kinds(begin_s: float) -> list[str]:
        fusion, now_s, found = Fusion(1, WINDOW_S, QUIET_S), begin_s, []
        for word in words:
            now_s += round(word.wait_s)
            word.say(fusion, now_s)
            found += [type(change).__name__ for change in fusion.advance(now_s)]
        return found

    assert kinds(start_s) == kinds(0.0)
