"""The pipeline on the bundled model: what comes out does not depend on how the audio comes in."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.audio.block import SAMPLE_RATE_HZ, Block, Samples
from earshot_node.contract.operating_point import OperatingPoint
from earshot_node.inference.bundle import load_bundled
from earshot_node.inference.facts import Fact, Frames, Offset, Onset, StreamReset
from earshot_node.inference.model import StreamingModel
from earshot_node.inference.pipeline import Pipeline
from earshot_node.synth.sirens import random_siren

HOP = 640


@cache
def model() -> StreamingModel:
    bundle = load_bundled()
    return StreamingModel(bundle.manifest, bundle.model)


@cache
def street() -> Samples:
    """Eleven seconds: quiet noise, a siren from 3 s to 8 s, quiet noise."""
    rng = np.random.default_rng(7)
    audio = 0.003 * rng.standard_normal(11 * SAMPLE_RATE_HZ).astype(np.float32)
    siren, _ = random_siren(rng, 5.0)
    audio[3 * SAMPLE_RATE_HZ : 8 * SAMPLE_RATE_HZ] += 0.3 * siren[: 5 * SAMPLE_RATE_HZ]
    return audio


@cache
def point() -> OperatingPoint:
    """An operating point that this very model crosses on this very audio, whatever its quality, and not by rounding."""
    output = model().run(street()[None, : len(street()) // HOP * HOP], [model().initial_state()])
    track = np.sort(output.posteriors[0, :, 0])
    gaps = np.diff(track)
    half = len(track) // 2
    widest = half + int(np.argmax(gaps[half:-3]))
    level = float((track[widest] + track[widest + 1]) / 2)
    return OperatingPoint(enter=level, leave=level, min_length_s=0.04, bridging_s=0.12, cooldown_s=0.2)


def points(_: str) -> dict[str, OperatingPoint]:
    return {"siren": point()}


def cut(audio: Samples, lengths: list[int], source: str = "mic", stream: int = 0) -> list[Block]:
    """Cut audio into blocks of the given lengths, repeated; without lengths into one block."""
    blocks, start, step = [], 0, 0
    while start < len(audio):
        length = lengths[step % len(lengths)] if lengths else len(audio)
        blocks.append(Block(source, stream, start, audio[start : start + length], 0.0, 0.0))
        start, step = start + length, step + 1
    return blocks


def events(facts: list[Fact], source: str = "mic") -> list[tuple[str, float, float | None]]:
    return [
        (type(fact).__name__, round(fact.event.onset_s, 6), fact.event.offset_s and round(fact.event.offset_s, 6))
        for fact in facts
        if isinstance(fact, Onset | Offset) and fact.source == source
    ]


def posteriors(facts: list[Fact], source: str = "mic") -> np.ndarray:
    return np.concatenate([f.posteriors for f in facts if isinstance(f, Frames) and f.source == source])


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(1, 30000), min_size=1, max_size=8))
def test_same_audio_cut_into_any_blocks_gives_the_same_events(lengths: list[int]) -> None:
    whole = Pipeline(model(), points)
    expected = whole.push(cut(street(), [])) + whole.flush("mic")
    assert len(events(expected)) >= 2
    parts = Pipeline(model(), points)
    found: list[Fact] = []
    for block in cut(street(), lengths):
        found.extend(parts.push([block]))
    found.extend(parts.flush("mic"))
    assert events(found) == events(expected)
    np.testing.assert_allclose(posteriors(found), posteriors(expected), atol=2e-4)


def test_loud_neighbour_in_the_batch_changes_nothing() -> None:
    alone = Pipeline(model(), points).push(cut(street(), [HOP]))
    loud = np.clip(np.random.default_rng(1).standard_normal(len(street())), -1, 1).astype(np.float32)
    together: list[Fact] = []
    pipeline = Pipeline(model(), points)
    for mine, neighbours in zip(cut(street(), [HOP]), cut(loud, [HOP], "other"), strict=True):
        together.extend(pipeline.push([neighbours, mine]))
    np.testing.assert_allclose(posteriors(together), posteriors(alone), atol=2e-4)
    assert events(together) == events(alone)


def test_lost_audio_ends_the_event_and_starts_a_new_stream() -> None:
    blocks = cut(street(), [HOP])
    pipeline = Pipeline(
        model(),
        lambda _: {"siren": OperatingPoint(enter=1e-9, leave=1e-9, min_length_s=0.04, bridging_s=0, cooldown_s=0)},
    )
    pipeline.push(blocks[:50])
    facts = pipeline.push(blocks[60:])
    assert isinstance(facts[0], Offset)
    assert facts[0].event.offset_s == pytest.approx(50 * 0.04)
    assert isinstance(facts[1], StreamReset)
    (onset,) = [fact for fact in facts if isinstance(fact, Onset)]
    assert onset.event.onset_s == pytest.approx(60 * 0.04)


def test_new_stream_begins_with_a_fresh_state() -> None:
    first = Pipeline(model(), points).push(cut(street(), []))
    pipeline = Pipeline(model(), points)
    pipeline.push(cut(np.ones(16000, np.float32), []))
    second = pipeline.push(cut(street(), [], stream=1))
    np.testing.assert_allclose(posteriors(second), posteriors(first), atol=2e-4)


def test_last_block_ends_what_is_open() -> None:
    always = OperatingPoint(enter=1e-9, leave=1e-9, min_length_s=0.04, bridging_s=0, cooldown_s=0)
    (block,) = cut(street(), [])
    last = Block(block.source, 0, 0, block.samples, 0.0, 0.0, last=True)
    facts = Pipeline(model(), lambda _: {"siren": always}).push([last])
    assert [name for name, _, _ in events(facts)] == ["Onset", "Offset"]


def test_posteriors_come_every_hop_with_the_stream_time_of_their_beginning() -> None:
    pipeline = Pipeline(model(), points)
    facts = [fact for block in cut(street(), [HOP]) for fact in pipeline.push([block])]
    frames = [fact for fact in facts if isinstance(fact, Frames)]
    assert len(frames) == len(street()) // HOP
    assert frames[10].begin_s == pytest.approx(0.4)
    labels = len(load_bundled().manifest.labels)
    assert all(fact.posteriors.shape == (1, labels) and fact.log_mel.shape[0] == 4 for fact in frames)


def test_label_without_operating_point_is_not_listened_for() -> None:
    facts = Pipeline(model(), lambda _: {}).push(cut(street(), []))
    assert events(facts) == []
