"""The ring gives back what was put in, by sample position."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from earshot_node.ring import SampleRing


@given(
    st.integers(1, 50),
    st.lists(st.integers(0, 70), max_size=20),
    st.integers(-20, 300),
    st.integers(-20, 300),
)
def test_read_gives_the_part_that_is_still_kept(capacity: int, lengths: list[int], begin: int, end: int) -> None:
    everything = (np.arange(sum(lengths)) % 1000 - 500).astype(np.int16)
    ring = SampleRing(capacity)
    for part in np.split(everything, np.cumsum(lengths)[:-1]) if lengths else []:
        ring.append((part / 32768).astype(np.float32))
    oldest = max(0, len(everything) - capacity)
    first, pcm = ring.read(begin, end)
    expected = everything[max(begin, oldest) : max(end, 0)]
    np.testing.assert_array_equal(pcm, expected)
    if len(pcm):
        assert first == max(begin, oldest)


def test_samples_beyond_full_scale_are_limited() -> None:
    ring = SampleRing(4)
    ring.append(np.asarray([2.0, -2.0, 0.5, 0.0], np.float32))
    assert ring.read(0, 4)[1].tolist() == [32767, -32768, 16384, 0]


def test_restart_forgets_and_begins_at_the_given_position() -> None:
    ring = SampleRing(10)
    ring.append(np.ones(5, np.float32))
    ring.restart(100)
    ring.append(np.full(2, 0.25, np.float32))
    first, pcm = ring.read(0, 200)
    assert (first, pcm.tolist()) == (100, [8192, 8192])
