"""Rate limits: a burst, then a rate, for each address by itself, in bounded memory."""

from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.http.limits import MAX_ADDRESSES, RateLimit


class Time:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def test_burst_then_rate() -> None:
    time = Time()
    limit = RateLimit(2.0, 3, clock=time)
    assert [limit.take("a") for _ in range(5)] == [True, True, True, False, False]
    time.now_s = 0.5
    assert [limit.take("a"), limit.take("a")] == [True, False]
    time.now_s = 100.0
    assert sum(limit.take("a") for _ in range(10)) == 3


def test_addresses_do_not_share_and_asking_uses_nothing_up() -> None:
    limit = RateLimit(1.0, 1, clock=Time())
    assert limit.take("a")
    assert not limit.allows("a")
    assert all(limit.allows("b") for _ in range(5))
    assert limit.take("b")


def test_memory_is_bounded() -> None:
    limit = RateLimit(1.0, 1, clock=Time())
    for number in range(3 * MAX_ADDRESSES):
        limit.take(str(number))
    assert len(limit._left) == MAX_ADDRESSES


@settings(deadline=None)
@given(pauses=st.lists(st.floats(0, 3), max_size=60), rate=st.floats(0.1, 5), burst=st.integers(1, 10))
def test_never_more_than_burst_and_rate_allow(pauses: list[float], rate: float, burst: int) -> None:
    time = Time()
    limit = RateLimit(rate, burst, clock=time)
    taken = 0
    for pause in pauses:
        time.now_s += pause
        taken += limit.take("a")
        assert taken <= burst + rate * time.now_s + 1e-6
