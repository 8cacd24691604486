"""The running node changes its model: no hop is left out or judged twice, and what is open goes on."""

import threading
from collections import deque
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from support.bundles import LIGHT
from support.waiting import wait_until

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.bundle import load_bundle_unsigned, load_bundled
from earshot_node.inference.companion import Companion
from earshot_node.inference.detector import Detector
from earshot_node.inference.facts import Fact, Frames, Offset, Onset
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.inference_thread import InferenceThread, Step
from earshot_node.listener import SourceListener
from earshot_node.synth.scene import street_scene

HOP = 640
CONFIG = NodeConfig.model_validate(
    {
        "node": {"id": "hall"},
        "sources": [{"id": "mic", "type": "microphone"}, {"id": "yard", "type": "microphone"}],
        "clips": {"store": "off"},
    }
)
ALWAYS = OperatingPoint(enter=1e-9, leave=1e-9, min_length_s=0.04, bridging_s=0.2, cooldown_s=5)
NEVER = OperatingPoint(enter=1.0, leave=1.0, min_length_s=0.04, bridging_s=0.2, cooldown_s=5)


@cache
def old() -> StreamingModel:
    bundle = load_bundled()
    return StreamingModel(bundle.manifest, bundle.model)


@cache
def new() -> StreamingModel:
    """Another network: its posteriors differ from the old one's."""
    bundle = load_bundle_unsigned(LIGHT)
    return StreamingModel(bundle.manifest, bundle.model)


@cache
def street() -> Samples:
    return np.ascontiguousarray(street_scene().samples[: 30 * SAMPLE_RATE_HZ], np.float32)


def blocks(source: str, audio: Samples, lengths: tuple[int, ...] = (1000, 333, 4801)) -> list[Block]:
    cut, start = [], 0
    while start < len(audio):
        samples = audio[start : start + lengths[len(cut) % len(lengths)]]
        end = start + len(samples)
        cut.append(Block(source, 0, start, samples, 1_795_000_000.0 + end / SAMPLE_RATE_HZ, 0.0))
        start = end
    return cut


def alone(model: StreamingModel, audio: Samples) -> np.ndarray:
    """The posteriors of sirens of one model on audio from its beginning, float32[frames, 1]."""
    return model.run(audio[None, : len(audio) // HOP * HOP], [model.initial_state()]).posteriors[0][:, :1]


def frames(facts: list[Fact], source: str = "mic") -> list[Frames]:
    return [fact for fact in facts if isinstance(fact, Frames) and fact.source == source]


def assert_every_hop_once(found: list[Frames], audio: Samples) -> None:
    begin = 0
    for fact in found:
        assert round(fact.begin_s / 0.04) == begin
        begin += len(fact.posteriors)
    assert begin == len(audio) // HOP


def track(found: list[Frames]) -> np.ndarray:
    return np.concatenate([fact.posteriors[:, :1] for fact in found])


@pytest.mark.parametrize("switch_at", [7, 40])
def test_track_is_the_old_models_up_to_the_switch_and_the_new_ones_from_it(switch_at: int) -> None:
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    companion = Companion(new(), lambda _: {"siren": NEVER})
    facts: list[Fact] = []
    started = switched = 0
    for number, block in enumerate(blocks("mic", street())):
        if number == 5:
            started = len(track(frames(facts)))
            pipeline.set_companion(companion)
        if number == switch_at:
            switched = len(track(frames(facts)))
            facts += pipeline.swap()
        facts += pipeline.push([block])
    found = frames(facts)
    assert_every_hop_once(found, street())
    assert 0 < started < switched
    np.testing.assert_allclose(track(found)[:switched], alone(old(), street())[:switched], atol=2e-4)
    warmed = alone(new(), street()[started * HOP :])[switched - started :]
    np.testing.assert_allclose(track(found)[switched:], warmed, atol=2e-4)
    assert np.abs(alone(old(), street())[switched:] - warmed).max() > 0.05  # it is another model


class Feed:
    """Blocks come bit by bit, as from a microphone."""

    def __init__(self) -> None:
        self._rest = [
            pair
            for pairs in zip(blocks("mic", street()), blocks("yard", 0.5 * street()), strict=True)
            for pair in pairs
        ]
        self.given, self.allowed = 0, 50

    def wait(self, timeout_s: float) -> bool:
        return threading.Event().wait(0.001)

    def take(self) -> list[Block]:
        count = min(3, self.allowed - self.given)
        some, self._rest = self._rest[:count], self._rest[count:]
        self.given += len(some)
        return some


def test_switch_in_a_running_thread_loses_no_hop_of_any_source() -> None:
    listeners = {name: SourceListener(CONFIG, name, 0.04, old().manifest.version) for name in ("mic", "yard")}
    heard: list[Fact] = []

    class Spy(Pipeline):
        def push(self, arriving: object) -> list[Fact]:
            facts = super().push(arriving)  # type: ignore[arg-type]
            heard.extend(facts)
            return facts

    steps: list[Step] = []
    failures: list[Exception] = []
    switched = threading.Event()
    feed = Feed()
    pipeline = Spy(old(), lambda _: {"siren": ALWAYS})
    thread = InferenceThread(feed, pipeline, listeners, steps.append, on_alive=lambda: None, on_failure=failures.append)
    thread.start()
    wait_until(lambda: feed.given == feed.allowed, 60)
    thread.set_companion(Companion(new(), lambda _: {"siren": ALWAYS}))
    feed.allowed = 200
    wait_until(lambda: feed.given == feed.allowed, 60)
    thread.swap(switched.set)
    feed.allowed = 2 * len(blocks("mic", street()))
    wait_until(lambda: switched.is_set() and feed.given == feed.allowed, 60)
    thread.stop()
    assert failures == []
    assert switched.is_set()
    for source, audio in (("mic", street()), ("yard", 0.5 * street())):
        assert_every_hop_once(frames(heard, source), audio)
    events = [event for step in steps for one in step.heard for event in one.events]
    assert sorted((event.source, event.phase) for event in events) == [
        ("mic", "offset"),
        ("mic", "onset"),
        ("yard", "offset"),
        ("yard", "onset"),
    ]
    assert pipeline.manifest == new().manifest
    assert steps[-1].companion is not None
    assert steps[-1].companion.version == old().manifest.version


class OneByOne:
    """Gives one block at a time."""

    def __init__(self, given: list[Block]) -> None:
        self.rest = deque(given)

    def wait(self, timeout_s: float) -> bool:
        return threading.Event().wait(0.001)

    def take(self) -> list[Block]:
        return [self.rest.popleft()] if self.rest else []


def test_event_of_the_model_beside_ends_where_audio_was_lost() -> None:
    part = street()[: 3 * SAMPLE_RATE_HZ]
    feed = OneByOne([replace(one, stream=stream) for stream in (0, 1, 2) for one in blocks("mic", part)])
    steps: list[Step] = []
    thread = InferenceThread(
        feed,
        Pipeline(old(), lambda _: {"siren": ALWAYS}),
        {"mic": SourceListener(CONFIG, "mic", 0.04, "1")},
        steps.append,
        on_alive=lambda: None,
        on_failure=lambda error: pytest.fail(str(error)),
    )
    thread.set_companion(Companion(new(), lambda _: {"siren": ALWAYS}))
    thread.start()
    wait_until(lambda: not feed.rest, 60)
    thread.stop()
    told = [event for step in steps if step.companion is not None for event in step.companion.events]
    assert [event.offset is not None for event in told] == [False, True] * 3
    assert all(begun.id == ended.id for begun, ended in zip(told[::2], told[1::2], strict=True))


def test_switch_that_nobody_wants_any_more_when_its_turn_comes_does_not_happen() -> None:
    pipeline, switched, feed = Pipeline(old(), lambda _: {"siren": ALWAYS}), threading.Event(), Feed()
    listeners = {name: SourceListener(CONFIG, name, 0.04, "1") for name in ("mic", "yard")}
    thread = InferenceThread(
        feed, pipeline, listeners, lambda _: None, on_alive=lambda: None, on_failure=lambda _: switched.set()
    )
    thread.set_companion(Companion(new(), lambda _: {"siren": ALWAYS}))
    thread.swap(switched.set, lambda: False)
    thread.start()
    wait_until(lambda: feed.given == feed.allowed, 60)
    thread.stop()
    assert not switched.is_set()
    assert pipeline.manifest == old().manifest


def test_event_that_is_open_goes_on_without_a_second_onset() -> None:
    pipeline = Pipeline(old(), lambda _: {"siren": ALWAYS})
    pipeline.set_companion(Companion(new(), lambda _: {"siren": ALWAYS}))
    audio = blocks("mic", street())
    facts = pipeline.push(audio[:20])
    facts += pipeline.swap()
    facts += pipeline.push(audio[20:])
    facts += pipeline.flush("mic")
    assert [type(fact) for fact in facts if isinstance(fact, Onset | Offset)] == [Onset, Offset]


def test_event_that_the_new_model_does_not_hear_ends_after_the_bridging() -> None:
    audio = blocks("mic", street(), (640,))
    pipeline = Pipeline(old(), lambda _: {"siren": ALWAYS})
    pipeline.set_companion(Companion(new(), lambda _: {"siren": NEVER}))
    facts = pipeline.push(audio[:50])
    facts += pipeline.swap()
    facts += pipeline.push(audio[50:100])
    (ended,) = [fact for fact in facts if isinstance(fact, Offset)]
    assert ended.event.offset_s == pytest.approx(50 * 0.04)


def test_switch_and_switch_back_leaves_the_old_track_untouched() -> None:
    audio = blocks("mic", street(), (640,))
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    pipeline.set_companion(Companion(new(), lambda _: {"siren": NEVER}))
    facts = pipeline.push(audio[:200])
    pipeline.swap()
    facts += pipeline.push(audio[200:300])
    pipeline.swap()
    facts += pipeline.push(audio[300:])
    expected = alone(old(), street())
    np.testing.assert_allclose(track(frames(facts))[:200], expected[:200], atol=2e-4)
    np.testing.assert_allclose(track(frames(facts))[300:], expected[300:], atol=2e-4)


class Failing(StreamingModel):
    """A model that fails after some calls."""

    def __init__(self, calls: int, *, with_nan: bool = False) -> None:
        bundle = load_bundle_unsigned(LIGHT)
        super().__init__(bundle.manifest, bundle.model)
        self._calls = calls
        self._with_nan = with_nan

    def run(self, samples: object, states: object) -> object:  # type: ignore[override]
        self._calls -= 1
        output = super().run(samples, states)  # type: ignore[arg-type]
        if self._calls < 0 and self._with_nan:
            output.posteriors[:] = np.nan
        elif self._calls < 0:
            raise RuntimeError("non-zero status code")
        return output


@pytest.mark.parametrize("with_nan", [False, True])
def test_model_that_fails_on_trial_is_replaced_by_the_former_one_within_the_same_hop(*, with_nan: bool) -> None:
    audio = blocks("mic", street(), (640,))
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    pipeline.set_companion(Companion(Failing(60, with_nan=with_nan), lambda _: {"siren": NEVER}))
    facts = pipeline.push(audio[:50])
    pipeline.swap()
    facts += [fact for block in audio[50:] for fact in pipeline.push([block])]
    assert pipeline.fallen_back is not None
    assert pipeline.companion is None
    assert_every_hop_once(frames(facts), street())
    failed_at = 50 + 59  # the first call was of 50 hops
    np.testing.assert_allclose(track(frames(facts))[failed_at:], alone(old(), street())[failed_at:], atol=2e-4)


def test_step_in_which_a_model_of_other_labels_takes_over_is_heard_whole() -> None:
    assert set(old().manifest.labels) > set(new().manifest.labels) == {"siren"}
    audio = blocks("mic", street(), (640,))
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    pipeline.set_companion(Companion(Failing(3), lambda _: {"siren": NEVER}))
    facts = pipeline.push(audio[:50])
    pipeline.swap()
    for block in audio[50:60]:
        facts += pipeline.push([block])
    assert pipeline.fallen_back is not None
    assert {fact.labels for fact in frames(facts)} == {old().manifest.labels, new().manifest.labels}
    heard = SourceListener(CONFIG, "mic", 0.04, "1").hear(audio[:60], facts)
    assert set(heard.peaks) == set(old().manifest.labels)
    siren = max(float(fact.posteriors[:, 0].max()) for fact in frames(facts))
    assert heard.peaks["siren"] == pytest.approx(siren)


def test_candidate_that_fails_beside_the_active_model_harms_nobody() -> None:
    audio = blocks("mic", street(), (640,))
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    candidate = Companion(Failing(10), lambda _: {"siren": NEVER})
    pipeline.set_companion(candidate)
    facts = [fact for block in audio for fact in pipeline.push([block])]
    assert str(candidate.failure) == "non-zero status code"
    np.testing.assert_allclose(track(frames(facts)), alone(old(), street()), atol=2e-4)


def test_candidate_whose_operating_points_fail_harms_nobody() -> None:
    def broken(_source: str) -> dict[str, OperatingPoint]:
        raise ValueError("no such preset")

    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    pipeline.push(blocks("mic", street()[:6400]))
    candidate = Companion(new(), broken)
    pipeline.set_companion(candidate)
    pipeline.push(blocks("mic", street())[3:])
    assert str(candidate.failure) == "no such preset"


def test_model_without_a_former_one_that_fails_ends_the_pipeline() -> None:
    pipeline = Pipeline(Failing(0), lambda _: {"siren": NEVER})
    with pytest.raises(RuntimeError, match="non-zero status code"):
        pipeline.push(blocks("mic", street()[:6400]))


def test_stream_that_begins_anew_is_heard_by_both_from_its_beginning() -> None:
    pipeline = Pipeline(old(), lambda _: {"siren": NEVER})
    pipeline.push(blocks("mic", street()[:6400]))
    companion = Companion(new(), lambda _: {"siren": NEVER})
    pipeline.set_companion(companion)
    assert companion.heard_s == 0
    again = Block("mic", 1, 0, street()[:6400], 0.0, 0.0)
    pipeline.push([again])
    assert companion.heard_s == float("inf")


def test_label_that_the_new_model_adds_is_heard_from_the_switch_on() -> None:
    """The same graph cannot have two outputs: the labels of a detector are what changes."""
    detector = Detector(("siren",), {"siren": ALWAYS}, 0.04)
    detector.push(np.full((3, 1), 0.5, np.float32))
    assert detector.follow(("horn", "siren"), {"siren": ALWAYS, "horn": ALWAYS}, 3) == []
    decisions = detector.push(np.array([[0.9, 0.5], [0.9, 0.5]], np.float32))
    assert [(one.event.label, one.phase, one.event.onset_s) for one in decisions] == [("horn", "onset", 0.12)]
    gone = detector.follow(("siren",), {"siren": ALWAYS}, 5)
    assert [(one.event.label, one.phase) for one in gone] == [("horn", "offset")]
