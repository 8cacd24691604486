"""The siren goes into the blocks of its source, sample by sample, whatever their lengths."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from earshot_node.audio.block import Block
from earshot_node.audio.level import level_dbfs
from earshot_node.drill.injector import Injector
from earshot_node.drill.siren import LENGTH_S, drill_siren

SIREN = np.arange(1, 1001, dtype=np.float32) / 1000
HOP = 640


class Waiting:
    """Blocks that wait."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []

    def wait(self, timeout_s: float) -> bool:
        return bool(self.blocks) or timeout_s < 0

    def take(self) -> list[Block]:
        taken, self.blocks = self.blocks, []
        return taken


def block(length: int, start: int = 0, source: str = "street", stream: int = 0) -> Block:
    end_s = (start + length) / 16000
    return Block(source, stream, start, np.full(length, 0.25, np.float32), 1000 + end_s, 50 + end_s)


@given(st.lists(st.integers(1, 700), min_size=1, max_size=30))
def test_siren_is_added_once_however_blocks_are_cut(lengths: list[int]) -> None:
    waiting = Waiting()
    injector = Injector(waiting, HOP)
    injection = injector.begin("street", SIREN)
    start, heard = 0, []
    for length in (*lengths, 2000):
        waiting.blocks.append(block(length, start))
        start += length
        heard += [one.samples for one in injector.take()]
    samples = np.concatenate(heard)
    assert np.allclose(samples[:1000], 0.25 + SIREN)
    assert np.allclose(samples[1000:], 0.25)
    assert injection.end_s == pytest.approx(1000 / 16000)
    assert injection.background_dbfs == pytest.approx(-12.04, abs=0.01)
    assert (injection.begun_wall_s, injection.begun_monotonic_s) == pytest.approx((1000, 50))


def test_blocks_of_other_sources_and_the_callers_samples_stay_as_they_are() -> None:
    waiting = Waiting()
    injector = Injector(waiting, HOP)
    injector.begin("street", SIREN)
    mine, other = block(500), block(500, source="yard")
    waiting.blocks = [mine, other]
    _, passed = injector.take()
    assert passed is other
    assert mine.samples.max() == 0.25


def test_source_that_breaks_off_ends_the_injection() -> None:
    waiting = Waiting()
    injector = Injector(waiting, HOP)
    injection = injector.begin("street", SIREN)
    waiting.blocks = [block(500), block(500, stream=1)]
    taken = injector.take()
    assert injection.interrupted
    assert injection.end_s is None
    assert taken[1].samples.max() == 0.25


def test_nothing_is_mixed_in_after_stop() -> None:
    waiting = Waiting()
    injector = Injector(waiting, HOP)
    injection = injector.begin("street", SIREN)
    injector.stop()
    waiting.blocks = [block(500)]
    assert injector.take()[0].samples.max() == 0.25
    assert (injection.stream, injection.background_dbfs) == (None, None)


def test_audio_that_is_never_judged_is_not_counted() -> None:
    """At the end of a stream what does not fill a hop is dropped by the pipeline, over years of reopened cameras."""
    waiting = Waiting()
    injector = Injector(waiting, HOP)
    for stream in range(1000):
        waiting.blocks = [block(HOP + 600, stream=stream)]
        injector.take()
    assert injector.taken_s("street") == pytest.approx((1000 * HOP + 600) / 16000)


def test_siren_has_the_level_that_was_asked_for() -> None:
    for level in (-45.0, -20.0):
        siren = drill_siren(level)
        assert level_dbfs(siren) == pytest.approx(level, abs=0.1)
        assert len(siren) == LENGTH_S * 16000
        assert np.abs(siren).max() < 1
    assert np.array_equal(drill_siren(-30), drill_siren(-30))
