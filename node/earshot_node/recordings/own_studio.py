"""Records without a running node: opens the source itself, writes into the node's folder."""

import time
from collections.abc import Iterator
from pathlib import Path

from earshot_node.audio.intake import Intake
from earshot_node.clips.store import DiskClips, clip_folder
from earshot_node.contract.config import NodeConfig
from earshot_node.contract.recordings import RECORDINGS_NEEDED, Labelling, RecordingInfo
from earshot_node.errors import SourceError
from earshot_node.recordings.budget import Unasked
from earshot_node.recordings.draft import draft_from_clip, draft_from_samples
from earshot_node.recordings.errors import NotTurnedOnError, UnknownRecordingError
from earshot_node.recordings.labels import count_labels, household_labels, known_labels
from earshot_node.recordings.pending import PendingTakes
from earshot_node.recordings.store import RecordingStore, recordings_folder
from earshot_node.recordings.studio import StudioInfo, TakeMade
from earshot_node.recordings.take import NO_AUDIO_AFTER_S, Progress, Take, TakeRecorder

_WAIT_S = 0.1


class OwnStudio:
    """See `Studio`.

    Args:
        config: the node's.
        state_dir: its state folder.
    """

    def __init__(self, config: NodeConfig, state_dir: Path) -> None:
        self._config = config
        self._state_dir = state_dir
        self._sources = {source.id: source for source in config.sources}
        self._store = RecordingStore(recordings_folder(config, state_dir), config.recordings)
        self._labels = household_labels(config, self._store.folder)
        self._pending = PendingTakes()
        self._intake: Intake | None = None
        self._open = ""

    def describe(self) -> StudioInfo:
        """See `Studio.describe`."""
        entries = self._store.entries()
        return StudioInfo(
            self._config.node.id,
            False,
            {source.id: source.name or source.id for source in self._config.sources},
            known_labels(self._labels, entries),
            count_labels(entries),
            RECORDINGS_NEEDED,
        )

    def record(self, source: str, seconds: float, countdown_s: float) -> Iterator[Progress | TakeMade]:
        """See `Studio.record`."""
        self._store.make_sure_of_room()
        intake = self._opened(source)
        recorder = TakeRecorder(seconds, countdown_s)
        intake.take()  # what came before now
        heard_s = time.monotonic()
        while recorder.take is None:
            if not intake.wait(_WAIT_S) and time.monotonic() - heard_s > NO_AUDIO_AFTER_S:
                status = intake.status(source)
                raise SourceError(f"{source}: no audio comes: {status.problem or status.state}")
            for block in intake.take():
                heard_s = time.monotonic()
                if recorder.take is None:
                    yield recorder.push(block)
        yield self._made(recorder.take, source)

    def keep(self, take_id: str, labelling: Labelling) -> RecordingInfo:
        """See `Studio.keep`."""
        info = self._store.add(self._pending.get(take_id), labelling)
        self._pending.drop(take_id)
        return info

    def drop(self, take_id: str) -> None:
        """See `Studio.drop`."""
        self._pending.drop(take_id)

    def label_event(self, event_id: str, labelling: Labelling) -> RecordingInfo:
        """See `Studio.label_event`; without a running node only clips on disk are there."""
        known = self._store.of_event(event_id)
        if known is not None:
            return self._store.label(known.info.id, labelling)
        clips = self._config.clips
        clip = None
        if clips.store == "disk":
            folder = clip_folder(clips, self._state_dir)
            clip = DiskClips(folder, clips.quota_mb, clips.free_floor_mb).find(event_id)
        if clip is None:
            why = (
                "" if clips.store == "disk" else f"; with `clips.store: {clips.store}` only a running node may have it"
            )
            raise UnknownRecordingError(f"there is no clip of event {event_id[:64]!r}{why}")
        source = self._sources.get(clip.info.event.source)
        return self._store.add(draft_from_clip(clip, self._config.node.id, source), labelling)

    def follow(self) -> Iterator[Unasked]:
        """See `Studio.follow`: listens to all sources until they end or the process is asked to."""
        if not self._config.recordings.auto.enabled:
            raise NotTurnedOnError
        from earshot_node.recordings.own_ear import keep_while_listening  # what infers takes its time to load

        yield from keep_while_listening(self._config, self._state_dir)

    def close(self) -> None:
        """See `Studio.close`."""
        if self._intake is not None:
            self._intake.stop()
            self._intake = None

    def _opened(self, source: str) -> Intake:
        if source not in self._sources:
            raise UnknownRecordingError(f"this node has no source {source!r}; it has {', '.join(self._sources)}")
        if self._intake is None or self._open != source:
            self.close()
            self._intake = Intake([self._sources[source]], lambda *_: None)
            self._intake.start()
            self._open = source
        return self._intake

    def _made(self, take: Take, source: str) -> TakeMade:
        draft = draft_from_samples(take.pcm, take.begin, self._config.node.id, self._sources[source])
        return TakeMade(self._pending.add(draft), draft.info(None))
