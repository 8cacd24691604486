"""Where clips go: memory, disk, or nowhere."""

import logging
import os
import shutil
from collections import OrderedDict
from pathlib import Path
from typing import Protocol

from earshot_node.clips.clip import Clip
from earshot_node.contract.config import ClipsSection

_log = logging.getLogger(__name__)
_MB = 1_000_000


class ClipStore(Protocol):
    """Takes finished clips. Calls may block on the disk: not for the event loop or the inference thread."""

    def add(self, clip: Clip) -> None:
        """Keep a clip, as the store's kind and limits allow."""

    def save(self, event_id: str) -> Path | None:
        """Make sure that the clip of an event is on disk; return its path, None if there is no such clip (any more)."""


class DiskClips:
    """FLAC files with JSON beside them, within a byte quota and above a floor of free space; the oldest go first."""

    def __init__(self, folder: Path, quota_mb: float, free_floor_mb: float) -> None:
        self._folder = folder
        self._quota_bytes = quota_mb * _MB
        self._floor_bytes = free_floor_mb * _MB
        self._refused = False
        for left_over in folder.glob("*.tmp"):
            left_over.unlink(missing_ok=True)

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
        _write_atomically(path, clip.flac)
        _write_atomically(path.with_suffix(".json"), info)
        return path

    def save(self, event_id: str) -> Path | None:
        """Return the path of the event's clip, None if it is not there."""
        return next(iter(sorted(self._folder.glob(f"*-{event_id[:8]}.flac"))), None)

    def _evict(self, incoming_bytes: int) -> None:
        files = sorted(self._folder.glob("*.flac"))
        sizes = {path: path.stat().st_size + _size(path.with_suffix(".json")) for path in files}
        total = sum(sizes.values()) + incoming_bytes
        for path in files:
            if total <= self._quota_bytes:
                return
            path.with_suffix(".json").unlink(missing_ok=True)
            path.unlink(missing_ok=True)
            total -= sizes[path]


class RamClips:
    """The last clips in memory; one reaches the disk only when it is saved by name."""

    def __init__(self, keep: int, disk: DiskClips) -> None:
        self._keep = keep
        self._disk = disk
        self._clips: OrderedDict[str, Clip] = OrderedDict()

    def add(self, clip: Clip) -> None:
        """Keep the clip; the oldest beyond the limit is forgotten."""
        self._clips[clip.info.event.id] = clip
        while len(self._clips) > self._keep:
            self._clips.popitem(last=False)

    def save(self, event_id: str) -> Path | None:
        """Write the event's clip to disk; None if it is no longer in memory or the disk is too full."""
        clip = self._clips.get(event_id)
        return self._disk.write(clip) if clip is not None else self._disk.save(event_id)


def open_clip_store(config: ClipsSection, state_dir: Path) -> ClipStore | None:
    """Return the store that the configuration asks for, None for `off`."""
    if config.store == "off":
        return None
    disk = DiskClips(Path(config.dir) if config.dir else state_dir / "clips", config.quota_mb, config.free_floor_mb)
    return disk if config.store == "disk" else RamClips(config.keep, disk)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _write_atomically(path: Path, data: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
