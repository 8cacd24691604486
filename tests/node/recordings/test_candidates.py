"""What a node keeps unasked: the right moments, within the day's budget, and nothing unless it is turned on."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.async_waiting import until
from support.mqtt_node import LONG_AGO, event
from support.recording_parts import HEALTHY, blocks_of, recording_config

from earshot_node.audio.flac import decode_flac
from earshot_node.clips.clip import encode_clip
from earshot_node.clips.store import RamClips
from earshot_node.companion_listener import CompanionEvent
from earshot_node.listener import Heard
from earshot_node.recordings import candidates as candidates_module
from earshot_node.recordings.budget import COUNT_NAME, Unasked
from earshot_node.recordings.candidates import UNCERTAIN_EVERY_S, Candidates
from earshot_node.recordings.entry import Entry
from earshot_node.recordings.errors import NotTurnedOnError
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap

RAMP = (np.arange(16 * 16000) % 30000 / 32768).astype(np.float32)


class Parts:
    """Candidates of one source that hears a ramp."""

    def __init__(self, folder: Path, *, clips: bool = True, labels: Sequence[str] = ("siren",), **auto: Any) -> None:
        auto = {"enabled": True, "pre_roll_s": 2, "post_roll_s": 1, **auto}
        config = recording_config(folder, labels=labels, recordings={"auto": auto})
        self.clips = RamClips(5)
        self.tap = StreamTap()
        kept = self.clips if clips else None
        self.service = RecordingService(config, folder, kept, self.tap, status=lambda _: HEALTHY)
        self.now_s = 1000.0
        self.candidates = Candidates(self.service, self.tap, "2026.11.0", has_clips=clips, clock=lambda: self.now_s)
        self._blocks = blocks_of(RAMP)

    def play(self, seconds: float) -> None:
        for _ in range(round(seconds * 25)):
            self.tap.push(next(self._blocks))

    def hear(self, peak: float, *events: Any) -> None:
        self.candidates.hear(Heard("street", events=events, peaks={"siren": peak}))

    async def kept(self, count: int) -> list[Entry]:
        await until(lambda: len(self.service.store.entries()) >= count, what=f"{count} candidates")
        return self.service.store.entries()


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(tmp_path)
    yield made
    made.candidates.close()
    made.service.close()


def heard_in_shadow(source: str = "street", offset: datetime | None = None) -> CompanionEvent:
    return CompanionEvent("in-the-shadow", source, "siren", datetime.now(UTC), offset, 0.81234)


async def nothing_more(parts: Parts, count: int = 0) -> None:
    """Whatever was begun is over, and nothing came of it."""
    await until(lambda: not parts.candidates._tasks)
    assert len(parts.service.store.entries()) == count


async def test_uncertain_moment_is_kept_with_the_audio_around_it(parts: Parts) -> None:
    parts.play(5)
    parts.hear(0.41)
    parts.play(2)
    (entry,) = await parts.kept(1)
    info = entry.info
    assert (info.origin, info.labelling, info.duration_s) == ("candidate", None, 3.0)
    assert info.candidate is not None
    assert (info.candidate.reason, info.candidate.posterior, info.candidate.model) == ("uncertain", 0.41, "2026.11.0")
    samples, _ = decode_flac(parts.service.store.audio_path(info.id).read_bytes())
    assert np.allclose(samples, RAMP[3 * 16000 : 6 * 16000], atol=1e-4)


async def test_neither_a_sure_no_nor_another_label_is_a_candidate(parts: Parts) -> None:
    parts.play(3)
    parts.hear(0.29)
    parts.candidates.hear(Heard("street", peaks={"dog": 0.9}))
    parts.play(3)
    await nothing_more(parts)


async def test_uncertain_moments_of_a_source_are_far_apart(parts: Parts) -> None:
    parts.play(3)
    for _ in range(3):
        parts.hear(0.4)
        parts.play(2)
    await parts.kept(1)
    await nothing_more(parts, 1)
    parts.now_s += UNCERTAIN_EVERY_S
    parts.hear(0.4)
    parts.play(2)
    await parts.kept(2)


async def test_uncertain_moment_that_becomes_an_event_is_kept_once_as_the_event(parts: Parts) -> None:
    parts.play(3)
    parts.hear(0.5)
    parts.hear(0.9, event(1))
    parts.play(3)
    parts.hear(0.4, event(1, "offset"))
    await nothing_more(parts)
    parts.clips.add(encode_clip(np.ones(32000, np.int16), LONG_AGO, event(1, "offset")))
    parts.candidates.clip_kept(event(1, "offset"))
    (entry,) = await parts.kept(1)
    assert entry.info.candidate is not None
    assert (entry.info.origin, entry.info.candidate.reason, entry.info.candidate.posterior) == (
        "event",
        "detected",
        0.93,
    )


@pytest.mark.parametrize("begins_uncertain", [False, True])
async def test_without_clips_what_was_detected_is_cut_from_the_stream(tmp_path: Path, begins_uncertain: bool) -> None:
    parts = Parts(tmp_path, clips=False)
    parts.play(4)
    if begins_uncertain:
        parts.hear(0.5)
    parts.hear(0.9, event(1))
    parts.play(2)
    (entry,) = await parts.kept(1)
    assert entry.info.candidate is not None
    assert entry.info.candidate.reason == "detected"
    await nothing_more(parts, 1)
    parts.candidates.close()
    parts.service.close()


async def test_budget_of_the_day_is_not_exceeded(tmp_path: Path) -> None:
    parts = Parts(tmp_path, per_day_s=4)
    for number in (1, 2):
        parts.clips.add(encode_clip(np.ones(48000, np.int16), datetime.now(UTC), event(number, "offset")))
        parts.candidates.clip_kept(event(number, "offset"))
    await parts.kept(1)
    await nothing_more(parts, 1)
    parts.candidates.close()
    parts.service.close()


async def test_what_is_heard_all_day_leaves_others_their_share_of_the_budget(tmp_path: Path) -> None:
    parts = Parts(tmp_path, labels=("siren", "speech"), per_day_s=8)
    for number, label in enumerate(("speech", "speech", "siren"), start=1):
        say_event(parts, number, label)
        await until(lambda: not parts.candidates._tasks)
    kept = [entry.info.candidate for entry in parts.service.store.entries()]
    assert sorted(one.label for one in kept if one is not None) == ["siren", "speech"]
    await close(parts)


async def test_uncertain_siren_beside_an_event_of_another_label_is_kept(tmp_path: Path) -> None:
    parts = Parts(tmp_path, labels=("siren", "speech"))
    parts.play(3)
    speech = event(1).model_copy(update={"event_type": "speech"})
    parts.hear(0.1, speech)
    parts.hear(0.4)
    parts.hear(0.4, speech.model_copy(update={"id": "another" * 4}))
    parts.play(2)
    (entry,) = await parts.kept(1)
    assert entry.info.candidate is not None
    assert (entry.info.candidate.reason, entry.info.candidate.label) == ("uncertain", "siren")
    await close(parts)


def say_event(parts: Parts, number: int, label: str = "siren") -> None:
    """Three seconds around an event that nobody has labelled are complete."""
    said = event(number, "offset").model_copy(update={"event_type": label})
    parts.clips.add(encode_clip(np.ones(48000, np.int16), datetime.now(UTC), said))
    parts.candidates.clip_kept(said)


async def close(parts: Parts) -> None:
    await until(lambda: not parts.candidates._tasks)
    parts.candidates.close()
    parts.service.close()


def collect_all(parts: Parts) -> None:
    """Somebody fetches everything, and nothing stays behind."""
    for entry in parts.service.store.entries():
        parts.service.store.acknowledge(entry.info.id, entry.info.sha256, entry.info.revision)
        for path in parts.service.store.folder.glob(f"{entry.info.id}.*"):
            path.unlink()


async def keep_and_collect(parts: Parts, event: int) -> None:
    """An event's candidate is kept and leaves the node."""
    say_event(parts, event)
    await parts.kept(1)
    await until(lambda: not parts.candidates._tasks)
    collect_all(parts)


async def test_budget_of_the_day_counts_what_has_left_the_node_also_after_a_restart(tmp_path: Path) -> None:
    parts = Parts(tmp_path, per_day_s=7)
    await keep_and_collect(parts, 1)
    await keep_and_collect(parts, 2)
    say_event(parts, 3)
    await nothing_more(parts)
    await close(parts)
    again = Parts(tmp_path, per_day_s=7)
    say_event(again, 4)
    await nothing_more(again)
    await close(again)


@pytest.mark.parametrize(
    "counted",
    [
        "",
        "{",
        "[]",
        '{"day": "20260101", "kept_s": 9}',
        '{"day": "TODAY", "kept_s": "x"}',
        '{"day": "TODAY", "kept_s": NaN}',
    ],
)
async def test_budget_without_a_count_of_today_is_that_of_what_is_stored(tmp_path: Path, counted: str) -> None:
    parts = Parts(tmp_path, per_day_s=7)
    say_event(parts, 1)
    await parts.kept(1)
    await close(parts)
    (tmp_path / "recordings" / COUNT_NAME).write_text(counted.replace("TODAY", f"{datetime.now(UTC):%Y%m%d}"))
    again = Parts(tmp_path, per_day_s=7)
    for number, count in ((2, 2), (3, 2)):
        say_event(again, number)
        await again.kept(count)
        await nothing_more(again, count)
    await close(again)


async def test_count_that_cannot_be_written_holds_until_the_next_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = Parts(tmp_path, per_day_s=4)
    (tmp_path / "recordings" / COUNT_NAME).mkdir(parents=True)
    await keep_and_collect(parts, 1)
    say_event(parts, 2)
    await nothing_more(parts)
    assert "is not counted beyond the next start" in caplog.text
    await close(parts)


async def test_nothing_is_kept_unless_it_is_turned_on(tmp_path: Path) -> None:
    parts = Parts(tmp_path, enabled=False)
    parts.play(3)
    parts.hear(0.5)
    parts.hear(0.9, event(1))
    parts.candidates.clip_kept(event(1, "offset"))
    parts.play(3)
    await nothing_more(parts)
    assert not (tmp_path / "recordings").exists()
    parts.service.close()


async def test_who_follows_is_told_what_is_kept_and_what_is_not_until_the_end(tmp_path: Path) -> None:
    parts = Parts(tmp_path, per_day_s=4)
    following = parts.candidates.follow()
    assert await anext(following) == Unasked(0.0, 4.0)
    say_event(parts, 1)
    told = await anext(following)
    (entry,) = parts.service.store.entries()
    assert told.kept is not None
    assert told.kept.encode() == entry.info.encode()
    assert (told.kept_s, told.left_s, told.problem) == (3.0, 1.0, "")
    say_event(parts, 2)
    assert (await anext(following)).problem.startswith("not kept: 3.0 s are more than is left of the day's budget")
    parts.candidates.clip_kept(event(3, "offset"))
    assert (await anext(following)).problem.startswith("not kept: there is no clip of event")
    await close(parts)
    assert [news async for news in following] == []


async def test_who_follows_hears_of_the_budget_also_when_nothing_is_kept(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(candidates_module, "FOLLOWED_EVERY_S", 0.01)
    following = parts.candidates.follow()
    assert [await anext(following), await anext(following)] == [Unasked(0.0, 300.0)] * 2
    await following.aclose()
    assert parts.candidates._followers == set()


async def test_nobody_follows_what_is_not_turned_on(tmp_path: Path) -> None:
    parts = Parts(tmp_path, enabled=False)
    with pytest.raises(NotTurnedOnError, match=r"recordings\.auto\.enabled: true"):
        await anext(parts.candidates.follow())
    await close(parts)


async def test_what_only_the_candidate_in_the_shadow_hears_is_kept_with_its_view(parts: Parts) -> None:
    parts.play(4)
    parts.candidates.hear_shadow([heard_in_shadow()], "2099.1.0")
    parts.play(2)
    (kept,) = await parts.kept(1)
    assert kept.info.candidate is not None
    told = kept.info.candidate
    assert (told.reason, told.label, told.posterior, told.model) == ("uncertain", "siren", 0.8123, "2099.1.0")
    assert kept.info.duration_s == pytest.approx(3, abs=0.05)


async def test_what_both_models_hear_is_no_disagreement(parts: Parts) -> None:
    parts.play(4)
    parts.hear(0.9, event(1))
    parts.candidates.hear_shadow([heard_in_shadow(), heard_in_shadow(offset=datetime.now(UTC))], "2099.1.0")
    parts.play(2)
    await nothing_more(parts)
