"""What a household says over MQTT becomes a recording: over a real broker, with a real publisher and store."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.async_waiting import until
from support.mosquitto import Mosquitto
from support.mqtt_node import LONG_AGO, event, node_config, running_node
from support.mqtt_subscriber import Subscriber, retained
from support.recording_parts import HEALTHY, blocks_of

from earshot_node.clips.clip import Clip, encode_clip
from earshot_node.clips.store import RamClips
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.messages import FeedbackMessage, RecordCommand, Reply
from earshot_node.contract.recordings import RecordingsReport
from earshot_node.contract.topics import NodeTopics, Verdict
from earshot_node.errors import OperatorError, SourceError
from earshot_node.mqtt.commands import FeedbackRequest
from earshot_node.recordings.errors import UnknownRecordingError
from earshot_node.recordings.feedback import Feedback
from earshot_node.recordings.service import RecordingService
from earshot_node.recordings.tap import StreamTap


class Parts:
    """Recordings and feedback of a node, without audio of its own."""

    def __init__(self, config: NodeConfig, folder: Path, *, clips: bool = True) -> None:
        self.clips = RamClips(5)
        self.tap = StreamTap()
        kept = self.clips if clips else None
        self.service = RecordingService(config, folder, kept, self.tap, status=lambda _: HEALTHY)
        self.feedback = Feedback(self.service, kept)

    def restart(self, last_event: int) -> None:
        """Go on as another process, which knows the event that Home Assistant shows."""
        self.feedback = Feedback(self.service, self.clips, {("street", "siren"): event(last_event)})

    def add_clip(self, number: int) -> str:
        """The clip of an event is complete."""
        clip = clip_of(number)
        self.clips.add(clip)
        self.feedback.clip_kept(clip.info.event.id)
        return clip.info.event.id

    def titles(self) -> list[str]:
        entries = self.service.store.entries()
        return [entry.info.labelling.title for entry in entries if entry.info.labelling is not None]


def clip_of(number: int) -> Clip:
    pcm = np.random.default_rng(number).integers(-900, 900, 32000).astype(np.int16)
    return encode_clip(pcm, LONG_AGO, event(number, "offset"))


def said(verdict: Verdict, event_id: str = "") -> FeedbackRequest:
    return FeedbackRequest("street", "siren", verdict, FeedbackMessage(event=event_id))


def config_of(port: int = 1883, node_id: str = "hall") -> NodeConfig:
    return node_config(port, node_id, recordings={"free_floor_mb": 0})


@pytest.fixture
async def parts(tmp_path: Path) -> AsyncIterator[Parts]:
    made = Parts(config_of(), tmp_path)
    yield made
    made.service.close()


async def test_verdict_after_a_restart_is_about_the_event_that_home_assistant_shows(parts: Parts) -> None:
    parts.add_clip(1)
    parts.restart(2)
    with pytest.raises(UnknownRecordingError, match="there is no clip of event"):
        await parts.feedback.judge(said("reject"))
    assert parts.titles() == []
    parts.restart(1)
    await parts.feedback.judge(said("reject"))
    assert parts.titles() == ["not siren"]


@pytest.mark.parametrize(("verdict", "title"), [("confirm", "siren"), ("reject", "not siren")])
async def test_verdict_on_the_last_event_is_a_recording_with_its_clip(
    parts: Parts, verdict: Verdict, title: str
) -> None:
    for number in (1, 2):
        parts.feedback.heard(event(number))
        parts.add_clip(number)
    await parts.feedback.judge(said(verdict))
    (entry,) = parts.service.store.entries()
    assert parts.titles() == [title]
    assert entry.info.event is not None
    assert entry.info.event.id == event(2).id
    assert (entry.info.origin, entry.info.source_type, entry.info.duration_s) == ("event", "microphone", 2.0)
    assert (entry.info.onset_s, entry.info.offset_s) == (0.0, 4.2)
    assert parts.service.store.audio_path(entry.info.id).read_bytes() == clip_of(2).flac


async def test_verdict_while_the_event_lasts_is_done_when_its_clip_is_complete(parts: Parts) -> None:
    parts.feedback.heard(event(1))
    await parts.feedback.judge(said("confirm"))
    assert parts.titles() == []
    parts.add_clip(1)
    await until(lambda: parts.titles() == ["siren"])


async def test_verdict_whose_clip_is_completed_by_the_stop_is_kept_before_the_node_is_down(parts: Parts) -> None:
    parts.feedback.heard(event(1))
    await parts.feedback.judge(said("reject"))
    parts.add_clip(1)
    await parts.feedback.close()
    assert parts.titles() == ["not siren"]


async def test_verdict_that_is_lost_because_its_clip_never_came_is_told(
    parts: Parts, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        parts.feedback.heard(event(number))
    await parts.feedback.judge(said("confirm"))
    await parts.feedback.close()
    assert f"event {event(2).id} is not labelled siren: its clip was never completed" in caplog.text
    assert event(1).id not in caplog.text


async def test_another_verdict_changes_the_label_of_the_same_recording(parts: Parts) -> None:
    parts.feedback.heard(event(1))
    parts.add_clip(1)
    for verdict in ("confirm", "confirm", "reject"):
        await parts.feedback.judge(said(verdict))  # type: ignore[arg-type]
    (entry,) = parts.service.store.entries()
    assert parts.titles() == ["not siren"]
    assert entry.info.revision == 3


async def test_verdict_on_a_certain_event_is_about_that_one(parts: Parts) -> None:
    for number in (1, 2):
        parts.feedback.heard(event(number))
        parts.add_clip(number)
    await parts.feedback.judge(said("reject", event(1).id))
    (entry,) = parts.service.store.entries()
    assert entry.info.event is not None
    assert entry.info.event.id == event(1).id


async def test_last_event_is_known_after_a_restart_by_its_clip(parts: Parts) -> None:
    parts.clips.add(clip_of(1))
    await parts.feedback.judge(said("confirm"))
    assert parts.titles() == ["siren"]


@pytest.mark.parametrize("event_id", ["", "unknown-event", "../../../etc/passwd"])
async def test_verdict_on_nothing_is_refused_with_a_reason(parts: Parts, event_id: str) -> None:
    with pytest.raises(UnknownRecordingError, match=r"no siren was heard|there is no clip of event"):
        await parts.feedback.judge(said("confirm", event_id))


async def test_without_clips_a_verdict_says_so(tmp_path: Path) -> None:
    parts = Parts(config_of(), tmp_path, clips=False)
    parts.feedback.heard(event(1))
    with pytest.raises(UnknownRecordingError, match="clips are off"):
        await parts.feedback.judge(said("confirm"))
    parts.service.close()


@asynccontextmanager
async def playing(tap: StreamTap, amplitude: float) -> AsyncIterator[None]:
    """A source that sounds for as long as it is needed."""
    tone = (amplitude * np.sin(np.arange(32000) / 5)).astype(np.float32)

    async def play() -> None:
        stream = 0
        while True:
            for block in blocks_of(tone, stream=stream):
                tap.push(block)
            await asyncio.sleep(0.01)
            stream += 1

    task = asyncio.create_task(play())
    yield
    task.cancel()


@pytest.mark.parametrize(("label", "title"), [("siren", "siren"), ("background", "background")])
async def test_sample_is_recorded_with_its_label(parts: Parts, label: str, title: str) -> None:
    async with playing(parts.tap, 0.2):
        await parts.feedback.sample(RecordCommand(label=label, source="street", seconds=1))
    assert parts.titles() == [title]
    assert parts.service.store.entries()[0].info.duration_s == 1.0


async def test_silent_sample_is_refused_and_the_report_says_why(parts: Parts) -> None:
    reports: list[RecordingsReport] = []
    parts.service.on_report = reports.append
    async with playing(parts.tap, 0.0):
        with pytest.raises(SourceError, match="digital silence"):
            await parts.feedback.sample(RecordCommand(label="siren", source="street", seconds=1))
    assert parts.titles() == []
    assert "digital silence" in reports[-1].problem


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (RecordCommand(label="dog", source="street"), "'dog' is not among the labels siren, background"),
        (RecordCommand(label="siren", source="cellar"), "no source 'cellar'"),
        (RecordCommand(label="siren"), "label and source are needed"),
    ],
)
async def test_sample_of_what_is_not_there_is_refused(parts: Parts, command: RecordCommand, reason: str) -> None:
    with pytest.raises((OperatorError, UnknownRecordingError), match=reason):
        await parts.feedback.sample(command)


@pytest.mark.mosquitto
async def test_buttons_and_select_work_over_a_broker(broker: Mosquitto, tmp_path: Path) -> None:
    topics = NodeTopics("earshot", "feedback")
    parts = Parts(config_of(broker.port, "feedback"), tmp_path)
    options = {"commands": {"record": parts.feedback.sample}, "on_feedback": parts.feedback.judge}
    async with running_node(parts.service.config, tmp_path / "node.sqlite", **options) as node:
        parts.service.on_report = node.publisher.publish_recordings
        with Subscriber(broker.port, f"{topics.base}/#") as home:
            await until(node.store.announcements)  # commands are subscribed to before
            await parts.service.report()

            async def told(name: str, check: Callable[[Any], bool]) -> Any:
                await until(lambda: any(check(one) for one in home.payloads(name)), what=name)
                return next(one for one in reversed(home.payloads(name)) if check(one))

            home.say(topics.set_recorder_setting("label").name, b"background")
            await told(topics.recorder_setting("label").name, lambda payload: payload == b"background")
            async with playing(parts.tap, 0.2):
                home.say(topics.command("record").name, b'{"id": "r1", "seconds": 1}')
                reply = Reply.decode(await told(topics.reply().name, lambda payload: b"r1" in payload))
            assert (reply.ok, reply.command) == (True, "record")
            parts.feedback.heard(event(1))
            parts.add_clip(1)
            home.say(topics.feedback("street", "siren", "reject").name, b"{}")
            report = await told(topics.recordings().name, lambda payload: json.loads(payload)["waiting"] == 2)
            assert json.loads(report)["labels"] == {"background": 1}
            assert sorted(parts.titles()) == ["background", "not siren"]
            home.say(topics.set_recorder_setting("label").name, b"tractor")
            refusal = await told(topics.reply().name, lambda payload: b"expected one of siren, background" in payload)
            assert Reply.decode(refusal).ok is False
    parts.service.close()
    assert topics.recordings().name in retained(broker.port, f"{topics.base}/#")
