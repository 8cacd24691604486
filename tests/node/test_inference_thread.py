"""The inference thread: steps, stops, failures. The model is the bundled one, microphones are lists of blocks."""

import threading
import time
from collections import deque

import numpy as np
import pytest
from support.waiting import wait_until

from earshot_node import inference_thread
from earshot_node.audio.block import Block
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.drill.siren import drill_siren
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference_thread import InferenceThread, Step, in_steps
from earshot_node.listener import SourceListener

ALWAYS = OperatingPoint(enter=1e-9, leave=1e-9, min_length_s=0.04, bridging_s=0, cooldown_s=0)
CONFIG = NodeConfig.model_validate({"node": {"id": "hall"}, "sources": [{"id": "mic", "type": "microphone"}]})


class Blocks:
    """A source that gives what it was given."""

    def __init__(self) -> None:
        self._waiting: deque[Block] = deque()
        self._ready = threading.Event()

    def give(self, *blocks: Block) -> None:
        self._waiting.extend(blocks)
        self._ready.set()

    def wait(self, timeout_s: float) -> bool:
        return self._ready.wait(min(timeout_s, 0.01))

    def take(self) -> list[Block]:
        self._ready.clear()
        taken = list(self._waiting)
        self._waiting.clear()
        return taken


class Running:
    """A thread with all that it told."""

    def __init__(self, pipeline: Pipeline | None = None) -> None:
        bundle = load_bundled()
        model = StreamingModel(bundle.manifest, bundle.model)
        self.blocks = Blocks()
        self.steps: list[Step] = []
        self.failures: list[Exception] = []
        self.alive = 0
        self.thread = InferenceThread(
            self.blocks,
            pipeline or Pipeline(model, lambda _: {"siren": ALWAYS}),
            {"mic": SourceListener(CONFIG, "mic", 0.04, "2026.11.0")},
            self.steps.append,
            on_alive=self._count,
            on_failure=self.failures.append,
        )
        self.thread.start()

    def _count(self) -> None:
        self.alive += 1

    @property
    def phases(self) -> list[str]:
        return [event.phase for step in self.steps for heard in step.heard for event in heard.events]

    @property
    def clips(self) -> int:
        return sum(len(heard.clips) for step in self.steps for heard in step.heard)


def block(start: int, samples: int, *, last: bool = False, end_monotonic_s: float = 0.0) -> Block:
    noise = (0.1 * np.random.default_rng(start).standard_normal(samples)).astype(np.float32)
    return Block("mic", 0, start, noise, 1_795_000_000.0 + (start + samples) / 16000, end_monotonic_s, last)


def test_stop_ends_the_open_event_and_gives_its_clip() -> None:
    running = Running()
    running.blocks.give(block(0, 32000))
    wait_until(lambda: running.phases == ["onset"])
    running.thread.stop()
    assert running.phases == ["onset", "offset"]
    assert running.clips == 1


def test_kind_of_a_siren_is_told_at_once_and_not_with_what_is_gathered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inference_thread, "TELL_QUIET_EVERY_S", 1e9)
    running = Running()
    siren = drill_siren(-20.0)[: 4 * 16000]
    halves = ((start, siren[start : start + 8000]) for start in range(0, len(siren), 8000))
    running.blocks.give(*(Block("mic", 0, at, half, 1_795_000_000.5 + at / 16000, 0.0) for at, half in halves))
    wait_until(lambda: any(heard.named for step in running.steps for heard in step.heard))
    running.thread.stop()
    told = [
        [*(event.phase for event in heard.events), *(event.kind for event in heard.named)]
        for step in running.steps
        for heard in step.heard
    ]
    assert [facts for facts in told if facts] == [["onset"], ["yelp"], ["offset"]]


def test_last_block_gives_the_clip_without_waiting_for_its_post_roll() -> None:
    running = Running()
    running.blocks.give(block(0, 16000), block(16000, 16000, last=True))
    wait_until(lambda: running.phases == ["onset", "offset"] and running.clips == 1)
    running.thread.stop()
    assert running.clips == 1


def test_stream_that_is_ended_because_its_source_is_gone_gives_offset_and_clip() -> None:
    running = Running()
    running.blocks.give(block(0, 16000))
    wait_until(lambda: running.phases == ["onset"])
    running.thread.end_stream("mic")
    wait_until(lambda: running.phases == ["onset", "offset"] and running.clips == 1)
    running.thread.stop()


def test_source_that_is_back_before_its_absence_is_told_is_not_interrupted() -> None:
    running = Running()
    soon = time.monotonic() + 3600  # after the thread is told to end the stream
    running.blocks.give(block(0, 16000, end_monotonic_s=soon))
    wait_until(lambda: running.phases == ["onset"])
    running.thread.end_stream("mic")
    rounds = running.alive
    wait_until(lambda: running.alive > rounds + 2)  # the request has been seen
    running.blocks.give(block(16000, 16000, end_monotonic_s=soon))
    running.thread.stop()
    assert running.phases == ["onset", "offset"]
    assert sum(step.hops for step in running.steps) == 50


def test_label_that_is_switched_off_ends_its_event() -> None:
    running = Running()
    running.blocks.give(block(0, 16000))
    wait_until(lambda: running.phases == ["onset"])
    running.thread.set_point("mic", "siren", None)
    wait_until(lambda: running.phases == ["onset", "offset"])
    running.thread.stop()


def test_watchdog_is_fed_without_any_audio() -> None:
    running = Running()
    wait_until(lambda: running.alive > 3)
    running.thread.stop()


def test_failure_is_told_once_and_ends_the_thread() -> None:
    class Broken(Pipeline):
        def __init__(self) -> None: ...

        def push(self, blocks: object) -> list[object]:  # type: ignore[override]
            raise RuntimeError("out of memory")

    running = Running(Broken())
    running.blocks.give(block(0, 640))
    wait_until(lambda: running.failures)
    running.thread.stop()
    assert [str(error) for error in running.failures] == ["out of memory"]


@pytest.mark.parametrize(("lengths", "expected"), [([640] * 30, [13, 13, 4]), ([16000, 16000], [1, 1]), ([], [])])
def test_audio_that_waits_is_done_in_steps_of_half_a_second(lengths: list[int], expected: list[int]) -> None:
    starts = np.cumsum([0, *lengths])
    blocks = [block(int(start), length) for start, length in zip(starts, lengths, strict=False)]
    steps = list(in_steps(blocks, 0.5))
    assert [len(step) for step in steps] == expected
    assert [one for step in steps for one in step] == blocks
