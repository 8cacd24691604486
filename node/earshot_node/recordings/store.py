"""Recordings on the disk: whole or absent, within a quota, and those that are waiting for collection never deleted."""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from earshot_node.atomic_file import remove_left_overs, sync_folder, write_atomically
from earshot_node.contract.config import NodeConfig, RecordingsSection
from earshot_node.contract.recordings import Candidate, Labelling, RecordingInfo, validate_recording_id
from earshot_node.errors import MessageError, OperatorError
from earshot_node.recordings.draft import Draft
from earshot_node.recordings.entry import Entry, to_evict
from earshot_node.recordings.errors import ConflictError, NoRoomError, UnknownRecordingError

_MB: Final = 1_000_000
_JSON_RESERVE_BYTES: Final = 4096
_TAKE_RESERVE_BYTES: Final = 100_000  # three seconds without any compression


class RecordingStore:
    """A folder with `<id>.flac`, `<id>.json` and, once acknowledged, an empty `<id>.collected`.

    The JSON makes a recording visible and is written last. Several processes may use the folder at once. Methods block
    on the disk: not for the event loop. Ids are looked up among what is there; no name comes from outside.

    Args:
        folder: made when something is written.
        config: quota, floor and retention.
        clock: wall time in UTC.
    """

    def __init__(
        self, folder: Path, config: RecordingsSection, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self.folder = folder
        self._config = config
        self._clock = clock
        self._read: dict[str, tuple[tuple[int, int], RecordingInfo]] = {}
        self._is_clean = False

    def add(self, draft: Draft, labelling: Labelling | None, candidate: Candidate | None = None) -> RecordingInfo:
        """Keep a recording; on return it is on the disk.

        Raises:
            NoRoomError: quota or disk are full of what must not be deleted.
            OperatorError: the folder cannot be written.
        """
        info = draft.info(labelling, candidate)
        with self._locked():
            self._make_room(len(draft.flac) + _JSON_RESERVE_BYTES, candidate=labelling is None)
            with self._told():
                write_atomically(self._audio(info.id), draft.flac)
                write_atomically(self._json(info.id), info.encode())
        return info

    def label(self, recording_id: str, labelling: Labelling) -> RecordingInfo:
        """Give a recording another labelling; it waits for collection (again).

        Raises:
            UnknownRecordingError: there is none.
        """
        with self._locked():
            before = self._entry(recording_id).info
            info = before.model_copy(update={"labelling": labelling, "revision": before.revision + 1})
            with self._told():
                # The mark first: a cut in between has the recording collected once more, never lost.
                self._mark(info.id).unlink(missing_ok=True)
                write_atomically(self._json(info.id), info.encode())
        return info

    def entries(self) -> list[Entry]:
        """Return all recordings by id, that is by time; files that are no recordings are passed over."""
        found = [self._find(path.stem) for path in sorted(self.folder.glob("*.json"))]
        present = [entry for entry in found if entry is not None]
        self._read = {entry.info.id: self._read[entry.info.id] for entry in present}
        return present

    def get(self, recording_id: str) -> Entry:
        """Return one recording.

        Raises:
            UnknownRecordingError: there is none.
        """
        return self._entry(recording_id)

    def of_event(self, event_id: str) -> Entry | None:
        """Return the recording around an event, None if there is none."""
        return next(
            (one for one in self.entries() if one.info.event is not None and one.info.event.id == event_id), None
        )

    def audio_path(self, recording_id: str) -> Path:
        """Return where the audio of a recording is.

        Raises:
            UnknownRecordingError: there is none.
        """
        return self._audio(self._entry(recording_id).info.id)

    def acknowledge(self, recording_id: str, sha256: str, revision: int) -> datetime:
        """Note that somebody has the recording now; return when it will be deleted. Doing it again is fine.

        Raises:
            UnknownRecordingError: there is none.
            ConflictError: what was collected is not what is here.
        """
        with self._locked():
            entry = self._entry(recording_id)
            if entry.info.sha256 != sha256:
                raise ConflictError("sha256 differs from this recording's; fetch it again")
            if entry.info.revision != revision:
                raise ConflictError(f"revision {revision} was collected, {entry.info.revision} is here; fetch it again")
            if entry.collected is None:
                with self._told():
                    write_atomically(self._mark(entry.info.id), b"")
                entry = self._entry(recording_id)
        assert entry.collected is not None
        return entry.collected + timedelta(days=self._config.keep_collected_days)

    def expire(self) -> int:
        """Delete what was collected longer ago than the retention; return how many."""
        if not self.folder.is_dir():
            return 0
        oldest = self._clock() - timedelta(days=self._config.keep_collected_days)
        with self._locked():
            expired = [one for one in self.entries() if one.collected is not None and one.collected <= oldest]
            for entry in expired:
                self._delete(entry)
        return len(expired)

    def make_sure_of_room(self) -> None:
        """Refuse before anybody speaks.

        Raises:
            NoRoomError: nothing can be recorded now.
        """
        self._plan_room(self.entries(), _TAKE_RESERVE_BYTES, candidate=False)

    def refusal(self) -> str:
        """Return why nothing can be recorded now, one line; '' when it can."""
        try:
            self.make_sure_of_room()
        except OperatorError as error:
            return str(error)
        return ""

    def _make_room(self, incoming_bytes: int, *, candidate: bool) -> None:
        for entry in self._plan_room(self.entries(), incoming_bytes, candidate=candidate):
            self._delete(entry)

    def _plan_room(self, entries: list[Entry], incoming_bytes: int, *, candidate: bool) -> list[Entry]:
        stored = sum(entry.stored_bytes for entry in entries)
        with self._told():
            free = shutil.disk_usage(_existing(self.folder)).free
        over_quota = stored + incoming_bytes - self._config.quota_mb * _MB
        under_floor = self._config.free_floor_mb * _MB - (free - incoming_bytes)
        chosen = to_evict(entries, max(over_quota, under_floor), candidate=candidate)
        if chosen is not None:
            return chosen
        waiting = sum(entry.is_waiting for entry in entries)
        if over_quota >= under_floor:
            raise NoRoomError(
                f"recordings: the quota of {self._config.quota_mb:g} MB is full, {waiting} recordings wait to be "
                "collected; collect them or raise recordings.quota_mb"
            )
        raise NoRoomError(
            f"recordings: {self.folder} has {max(free, 0) / _MB:.0f} MB free and "
            f"{self._config.free_floor_mb:g} MB are kept free; make room or lower recordings.free_floor_mb"
        )

    def _delete(self, entry: Entry) -> None:
        # The JSON first: what is left by a cut is no recording, and is removed at the next start.
        for path in (self._json(entry.info.id), self._audio(entry.info.id), self._mark(entry.info.id)):
            path.unlink(missing_ok=True)

    def _clean(self) -> None:
        remove_left_overs(self.folder)
        for pattern in ("*.flac", "*.collected"):
            for path in self.folder.glob(pattern):
                if not path.with_suffix(".json").exists():
                    path.unlink(missing_ok=True)

    def _entry(self, recording_id: str) -> Entry:
        try:
            found = self._find(validate_recording_id(recording_id))
        except ValueError as error:
            raise UnknownRecordingError(str(error)) from error
        if found is None:
            raise UnknownRecordingError(f"this node has no recording {recording_id}")
        return found

    def _find(self, stem: str) -> Entry | None:
        try:
            status = self._json(stem).stat()
            stamp = (status.st_mtime_ns, status.st_size)
            known = self._read.get(stem)
            if known is None or known[0] != stamp:
                known = (stamp, RecordingInfo.decode(self._json(stem).read_bytes()))
                self._read[stem] = known
            audio_bytes = self._audio(stem).stat().st_size
        except (OSError, MessageError):
            return None
        info = known[1]
        if info.id != stem:
            return None
        return Entry(info, status.st_size + audio_bytes, self._collected(stem))

    def _collected(self, stem: str) -> datetime | None:
        try:
            return datetime.fromtimestamp(self._mark(stem).stat().st_mtime, UTC)
        except FileNotFoundError:
            return None

    def _audio(self, stem: str) -> Path:
        return self.folder / f"{stem}.flac"

    def _json(self, stem: str) -> Path:
        return self.folder / f"{stem}.json"

    def _mark(self, stem: str) -> Path:
        return self.folder / f"{stem}.collected"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise OperatorError(f"recordings: {self.folder}: {error.strerror}; nothing was recorded") from error

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other processes from changing the folder meanwhile."""
        try:
            new = not self.folder.is_dir()
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            if new:
                sync_folder(self.folder.parent)
            descriptor = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise OperatorError(
                f"recordings: {self.folder}: {error.strerror}; run it as the user the node runs as, "
                "or set recordings.dir"
            ) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if not self._is_clean:
                self._clean()
                self._is_clean = True
            yield
        finally:
            os.close(descriptor)


def recordings_folder(config: NodeConfig, state_dir: Path) -> Path:
    """Return where recordings are."""
    return Path(config.recordings.dir) if config.recordings.dir else state_dir / "recordings"


def _existing(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder
