"""Where clips go: memory, disk, or nowhere."""

import contextlib
import logging
import re
import shutil
import threading
from collections import Counter, OrderedDict
from pathlib import Path
from typing import Protocol

from pydantic import ValidationError

from earshot_node.atomic_file import remove_left_overs, write_atomically
from earshot_node.clips.clip import Clip, ClipInfo, clip_name
from earshot_node.contract.config import ClipsSection
from earshot_node.contract.messages import EventMessage

_log = logging.getLogger(__name__)
_MB = 1_000_000
_SUFFIXES = (".json", ".png", ".flac")
"""Of the files of one clip; the audio is removed last, because it is what clips are found and counted by."""
_PICTURES_WAITING = 8
_EVENT_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")


class ClipStore(Protocol):
    """Takes finished clips. Calls may block on the disk: not for the event loop or the inference thread."""

    def add(self, clip: Clip) -> None:
        """Keep a clip, as the store's kind and limits allow."""

    def add_picture(self, event: EventMessage, png: bytes) -> None:
        """Keep a picture of the event's sound beside its clip, whichever comes first, where that is a file."""

    def find(self, event_id: str) -> Clip | None:
        """Return the clip of an event, None if there is no such clip (any more)."""

    def latest_event(self, source: str, label: str) -> str | None:
        """Return the id of the event whose clip is the latest of a source and label, None if there is none."""


class DiskClips:
    """FLAC files with JSON beside them, within a byte quota and above a floor of free space.

    The oldest go first, of the label that takes most room: what is heard all day does not push out what is rare.
    """

    def __init__(self, folder: Path, quota_mb: float, free_floor_mb: float) -> None:
        self._folder = folder
        self._quota_bytes = quota_mb * _MB
        self._floor_bytes = free_floor_mb * _MB
        self._refused = False
        self._pictures: OrderedDict[str, bytes] = OrderedDict()
        remove_left_overs(folder)

    def add(self, clip: Clip) -> None:
        """Write the clip, unless the disk is too full."""
        self.write(clip)

    def write(self, clip: Clip) -> Path | None:
        """Write the clip and return its path, None (logged once) when the disk has too little room left."""
        self._folder.mkdir(parents=True, exist_ok=True)
        info = clip.info.model_dump_json(by_alias=True, indent=1).encode()
        size = len(clip.flac) + len(info)
        self._evict(size)
        if size > self._quota_bytes or shutil.disk_usage(self._folder).free - size < self._floor_bytes:
            if not self._refused:
                _log.warning("clips: %s has too little room left; no clip is written until there is", self._folder)
            self._refused = True
            return None
        self._refused = False
        path = self._folder / f"{clip.name}.flac"
        # The audio comes first and the JSON last: a clip with its JSON is whole, whenever the power goes.
        write_atomically(path, clip.flac)
        write_atomically(path.with_suffix(".json"), info)
        picture = self._pictures.pop(clip.name, None)
        if picture is not None:
            write_atomically(path.with_suffix(".png"), picture)
        return path

    def add_picture(self, event: EventMessage, png: bytes) -> None:
        """Write the picture beside the event's clip; one that comes before its clip waits for it."""
        name = clip_name(event)
        if (self._folder / f"{name}.flac").exists():
            write_atomically(self._folder / f"{name}.png", png)
            return
        self._pictures[name] = png
        while len(self._pictures) > _PICTURES_WAITING:
            self._pictures.popitem(last=False)

    def find(self, event_id: str) -> Clip | None:
        """Read the event's clip, None if it is not there."""
        if not _EVENT_ID.fullmatch(event_id):
            return None
        for path in self._folder.glob(f"*-{event_id[:8]}.json"):
            info = _read_info(path)
            if info is not None and info.event.id == event_id:
                with contextlib.suppress(FileNotFoundError):
                    return Clip(info, path.with_suffix(".flac").read_bytes())
        return None

    def latest_event(self, source: str, label: str) -> str | None:
        """Return the id of the latest event of source and label that has a clip."""
        for path in sorted(self._folder.glob(f"*-{source}-{label}-*.json"), reverse=True):
            info = _read_info(path)
            if info is not None and (info.event.source, info.event.event_type) == (source, label):
                return info.event.id
        return None

    def _evict(self, incoming_bytes: int) -> None:
        files = sorted(self._folder.glob("*.flac"))
        sizes = {path: sum(_size(path.with_suffix(one)) for one in _SUFFIXES) for path in files}
        room = Counter[str]()
        for path, size in sizes.items():
            room[_label_in(path)] += size
        while files and room.total() + incoming_bytes > self._quota_bytes:
            greatest = max(room.values())
            path = next(one for one in files if room[_label_in(one)] == greatest)
            for suffix in _SUFFIXES:
                path.with_suffix(suffix).unlink(missing_ok=True)
            room[_label_in(path)] -= sizes[path]
            files.remove(path)


class RamClips:
    """The last clips in memory; of the label that has most of them the oldest is forgotten first."""

    def __init__(self, keep: int) -> None:
        self._keep = keep
        self._clips: OrderedDict[str, Clip] = OrderedDict()
        self._lock = threading.Lock()

    def add(self, clip: Clip) -> None:
        """Keep the clip, and no more than the limit."""
        with self._lock:
            self._clips.pop(clip.info.event.id, None)
            while len(self._clips) >= self._keep:
                counts = Counter(one.info.event.event_type for one in self._clips.values())
                most = max(counts.values())
                oldest = next(key for key, one in self._clips.items() if counts[one.info.event.event_type] == most)
                del self._clips[oldest]
            self._clips[clip.info.event.id] = clip

    def add_picture(self, event: EventMessage, png: bytes) -> None:
        """Do nothing: the broker has the latest one, and no file is to be found beside a clip in memory."""

    def find(self, event_id: str) -> Clip | None:
        """Return the event's clip, None if it is no longer in memory."""
        with self._lock:
            return self._clips.get(event_id)

    def latest_event(self, source: str, label: str) -> str | None:
        """Return the id of the latest event of source and label whose clip is in memory."""
        with self._lock:
            events = [clip.info.event for clip in self._clips.values()]
        ours = [event for event in events if (event.source, event.event_type) == (source, label)]
        return max(ours, key=lambda event: event.onset).id if ours else None


def open_clip_store(config: ClipsSection, state_dir: Path) -> ClipStore | None:
    """Return the store that the configuration asks for, None for `off`."""
    if config.store == "off":
        return None
    if config.store == "ram":
        return RamClips(config.keep)
    return DiskClips(clip_folder(config, state_dir), config.quota_mb, config.free_floor_mb)


def clip_folder(config: ClipsSection, state_dir: Path) -> Path:
    """Return where clips on disk are."""
    return Path(config.dir) if config.dir else state_dir / "clips"


def _label_in(path: Path) -> str:
    """Return the label in a name that `clip_name` made: between the last hyphen and that of the eight of the id."""
    return path.stem[:-9].rpartition("-")[2]


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _read_info(path: Path) -> ClipInfo | None:
    """Read the JSON of a clip, None if it is gone or not one."""
    try:
        return ClipInfo.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
