"""Events get one id, wall time, level and their clip."""

from dataclasses import replace

import numpy as np
import pytest

from earshot_node.audio.block import Block
from earshot_node.contract.config import NodeConfig
from earshot_node.inference.facts import Fact, Frames, KindTold, Offset, Onset, SoundEvent, StreamReset
from earshot_node.listener import SourceListener

WALL_S = 1_795_000_000.0
CONFIG = NodeConfig.model_validate(
    {
        "node": {"id": "hall"},
        "sources": [{"id": "mic", "name": "Hall", "type": "microphone"}],
        "clips": {"pre_roll_s": 0.5, "post_roll_s": 0.5},
    }
)


def listener(config: NodeConfig = CONFIG) -> SourceListener:
    return SourceListener(config, "mic", 0.04, "2026.11.0")


def second(number: int, stream: int = 0) -> Block:
    samples = np.full(16000, 0.1, np.float32)
    return Block("mic", stream, number * 16000, samples, WALL_S + number + 1, 0.0)


def frames(number: int, level_dbfs: float, posterior: float) -> Frames:
    return Frames("mic", 0, float(number), np.full((25, 1), posterior, np.float32), np.zeros((100, 80)), level_dbfs)


def onset(onset_s: float, decided_s: float, stream: int = 0) -> Onset:
    return Onset("mic", stream, SoundEvent("siren", onset_s, None, 0.87654), decided_s)


def offset(onset_s: float, offset_s: float, decided_s: float, stream: int = 0) -> Offset:
    return Offset("mic", stream, SoundEvent("siren", onset_s, offset_s, 0.95), decided_s)


def test_onset_and_offset_share_an_id_and_carry_wall_times() -> None:
    ear = listener()
    first = ear.hear([second(0), second(1)], [frames(0, -40.0, 0.1), frames(1, -20.0, 0.9), onset(1.2, 1.6)])
    (begun,) = first.events
    assert begun.onset.timestamp() == pytest.approx(WALL_S + 1.2)
    assert begun.decided is not None
    assert begun.decided.timestamp() == pytest.approx(WALL_S + 2.0)  # the end of the second block
    assert (begun.phase, begun.confidence, begun.level_dbfs, begun.source_name) == ("onset", 88, -20.0, "Hall")
    second_step = ear.hear([second(2)], [frames(2, -10.0, 0.9), offset(1.2, 2.4, 2.6)])
    (ended,) = second_step.events
    assert (ended.id, ended.phase) == (begun.id, "offset")
    assert ended.offset is not None
    assert ended.offset.timestamp() == pytest.approx(WALL_S + 2.4)
    assert (ended.duration_s, ended.peak, ended.level_dbfs) == (1.2, 0.95, -10.0)


def test_siren_s_kind_at_the_offset_replaces_what_was_known_at_the_onset() -> None:
    ear = listener()
    begun = replace(onset(1.2, 1.6), event=SoundEvent("siren", 1.2, None, 0.9, "unknown"))
    ended = replace(offset(1.2, 2.4, 2.6), event=SoundEvent("siren", 1.2, 2.4, 0.9, "yelp"))
    told = [*ear.hear([second(0), second(1)], [begun]).events, *ear.hear([second(2)], [ended]).events]
    assert [(one.phase, one.kind) for one in told] == [("onset", "unknown"), ("offset", "yelp")]


def test_kind_that_becomes_clear_is_told_with_the_message_of_the_onset_and_stays() -> None:
    ear = listener()
    (begun,) = ear.hear([second(0), second(1)], [onset(1.2, 1.6)]).events
    heard = ear.hear([second(2)], [frames(2, -20.0, 0.9), KindTold("mic", 0, 1.2, "hi_lo", 2.9)])
    assert heard.events == ()
    (named,) = heard.named
    assert named == begun.model_copy(update={"kind": "hi_lo"})
    ended = ear.hear([second(3), second(4)], [offset(1.2, 3.4, 3.6)])
    assert ended.named == ()
    assert [one.phase for one in ended.events] == ["offset"]


def test_picture_of_a_siren_that_lasts_shows_the_kind_that_became_clear() -> None:
    ear = listener()
    ear.hear([second(0), second(1)], [frames(0, -20.0, 0.1), frames(1, -20.0, 0.9), onset(1.2, 1.6)])
    assert ear.hear([second(2)], [frames(2, -20.0, 0.9), KindTold("mic", 0, 1.2, "yelp", 2.7)]).sketches == ()
    (sketch,) = ear.hear([second(3)], [frames(3, -20.0, 0.9)]).sketches
    assert sketch.event.kind == "yelp"


def test_clip_comes_when_its_post_roll_is_there_with_the_final_message() -> None:
    ear = listener()
    ear.hear([second(0), second(1)], [onset(1.2, 1.6)])
    assert ear.hear([second(2)], [offset(1.2, 2.7, 2.8)]).clips == ()
    (clip,) = ear.hear([second(3)], []).clips
    assert clip.begin.timestamp() == pytest.approx(WALL_S + 0.7)
    assert len(clip.cut.pcm) == round((2.7 + 0.5 - 0.7) * 16000)
    assert clip.event.phase == "offset"


def test_event_that_ends_with_its_stream_gets_its_offset_in_the_old_streams_time() -> None:
    ear = listener()
    ear.hear([second(0)], [onset(0.2, 0.5)])
    new = Block("mic", 1, 0, np.zeros(16000, np.float32), WALL_S + 100.0, 0.0)
    facts: list[Fact] = [offset(0.2, 0.9, 1.0), StreamReset("mic", 1)]
    heard = ear.hear([new], facts)
    assert heard.events[0].offset is not None
    assert heard.events[0].offset.timestamp() == pytest.approx(WALL_S + 0.9)
    (clip,) = heard.clips
    assert clip.cut.stream == 0


def test_clip_that_waits_is_cut_short_when_the_stream_ends() -> None:
    ear = listener()
    ear.hear([second(0), second(1)], [onset(1.2, 1.6)])
    assert ear.hear([], [offset(1.2, 1.9, 2.0)]).clips == ()
    (clip,) = ear.end_stream().clips
    assert len(clip.cut.pcm) == round((2.0 - 0.7) * 16000)
    assert clip.event.phase == "offset"
    assert ear.end_stream().clips == ()


def test_siren_above_full_scale_is_an_event_like_any_other() -> None:
    """Gain and float files lift levels above 0 dBFS."""
    (begun,) = listener().hear([second(0), second(1)], [frames(1, 46.0, 0.9), onset(1.2, 1.6)]).events
    assert begun.level_dbfs == 46.0


def test_without_clips_no_audio_is_kept() -> None:
    config = CONFIG.model_copy(update={"clips": CONFIG.clips.model_copy(update={"store": "off"})})
    ear = listener(config)
    ear.hear([second(0), second(1)], [onset(1.2, 1.6)])
    assert ear.hear([second(2), second(3)], [offset(1.2, 2.0, 2.2)]).clips == ()


def test_highest_posterior_and_levels_are_told() -> None:
    heard = listener().hear([second(0), second(1)], [frames(0, -40.0, 0.25), frames(1, -20.0, 0.75)])
    assert heard.peaks == {"siren": 0.75}
    assert heard.levels_dbfs == ((-40.0, 25), (-20.0, 25))
