"""Whoever would run the house, one does: all see the same last word at the broker."""

from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.house.election import SETTLE_S, TAKEOVER_S, Election, Role


class Broker:
    """Keeps the last owner and who is alive, and hands words to everybody in one order."""

    def __init__(self) -> None:
        self.owner: str | None = None
        self.online: dict[str, bool] = {}
        self.there: dict[str, Election] = {}
        self.words: list[str] = []

    def connect(self, name: str, now_s: float) -> None:
        one = self.there[name] = Election(name)
        one.connected(now_s)
        for instance, online in self.online.items():
            one.alive(instance, now_s, online=online)
        if self.owner is not None:
            one.named(self.owner, now_s)
        self._alive(name, now_s, online=True)

    def drop(self, name: str, now_s: float) -> None:
        if self.there.pop(name, None) is not None:
            self._alive(name, now_s, online=False)

    def tick(self, now_s: float) -> None:
        claims = [name for name, one in self.there.items() if one.claims(now_s)]
        for name in claims:
            self.owner = name
            for one in self.there.values():
                one.named(name, now_s)

    def owners(self) -> list[str]:
        return [name for name, one in self.there.items() if one.role is Role.OWNER]

    def _alive(self, name: str, now_s: float, *, online: bool) -> None:
        self.online[name] = online
        for one in self.there.values():
            one.alive(name, now_s, online=online)


def run(broker: Broker, begin_s: float, length_s: float) -> float:
    for second in range(int(length_s)):
        broker.tick(begin_s + second)
    return begin_s + length_s


def test_the_only_one_runs_it_as_soon_as_it_knows_that_it_is() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    broker.tick(SETTLE_S - 0.1)
    assert broker.owners() == []
    broker.tick(SETTLE_S)
    assert broker.owners() == ["hall"]


def test_two_that_start_together_agree() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    broker.connect("attic", 0.0)
    run(broker, 0.0, 10)
    assert len(broker.owners()) == 1
    standby = next(one for name, one in broker.there.items() if name not in broker.owners())
    assert standby.rival == broker.owners()[0]


def test_second_one_stands_by_and_names_its_rival() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    run(broker, 0.0, 10)
    broker.connect("attic", 10.0)
    run(broker, 10.0, 500)
    assert broker.owners() == ["hall"]
    assert broker.there["attic"].rival == "hall"
    assert broker.there["hall"].rival == ""


def test_owner_that_is_started_anew_stays_the_owner() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    broker.connect("attic", 5.0)
    now_s = run(broker, 5.0, 10)
    broker.drop("hall", now_s)
    now_s = run(broker, now_s, TAKEOVER_S - 5)
    broker.connect("hall", now_s)
    run(broker, now_s, 200)
    assert broker.owners() == ["hall"]


def test_owner_that_stays_away_is_replaced() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    now_s = run(broker, 0.0, 5)
    broker.connect("attic", now_s)
    now_s = run(broker, now_s, 5)
    broker.drop("hall", now_s)
    now_s = run(broker, now_s, TAKEOVER_S + 2)
    assert broker.owners() == ["attic"]
    broker.connect("hall", now_s)
    run(broker, now_s, 200)
    assert broker.owners() == ["attic"]


def test_owner_of_whom_nothing_else_is_known_is_replaced() -> None:
    broker = Broker()
    broker.owner = "gone"
    broker.connect("hall", 0.0)
    assert broker.there["hall"].rival == ""
    run(broker, 0.0, TAKEOVER_S + 2)
    assert broker.owners() == ["hall"]


def test_emptied_topic_is_taken_again() -> None:
    broker = Broker()
    broker.connect("hall", 0.0)
    now_s = run(broker, 0.0, 10)
    broker.there["hall"].named(None, now_s)
    run(broker, now_s, 10)
    assert broker.owners() == ["hall"]


@given(st.lists(st.tuples(st.sampled_from(["hall", "attic", "yard"]), st.booleans(), st.integers(0, 90)), max_size=20))
@settings(deadline=None)
def test_never_two_owners_and_one_in_the_end(steps: list[tuple[str, bool, int]]) -> None:
    broker, now_s = Broker(), 0.0
    for name, is_there, wait_s in steps:
        if is_there and name not in broker.there:
            broker.connect(name, now_s)
        elif not is_there:
            broker.drop(name, now_s)
        for second in range(wait_s):
            broker.tick(now_s + second)
            assert len(broker.owners()) <= 1
        now_s += wait_s
    run(broker, now_s, TAKEOVER_S + 10)
    assert len(broker.owners()) == (1 if broker.there else 0)
