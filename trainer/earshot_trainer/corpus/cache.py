"""Decoded audio on disk: every recording once as 16 kHz mono int16 in one memory-mapped file.

`samples.i16` only grows; `index.jsonl` has one line per recording. A line is written after its samples, so a
kill at any moment leaves at worst unused samples. Memory is bounded by one block of one file. Samples that were made
from a recording (`keep`) lie beside the recordings. A recording is known by its content: a corpus that was copied or
moved is found again.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt
import soundfile as sf
import soxr

from earshot_node.errors import OperatorError
from earshot_trainer.corpus.fingerprints import Fingerprints
from earshot_trainer.corpus.recordings import Recording

SAMPLE_RATE_HZ = 16_000
BLOCK_FRAMES = 1 << 16
Int16Array = npt.NDArray[np.int16]


def default_cache_dir() -> Path:
    """`EARSHOT_CACHE`, else `earshot` in the user's cache folder."""
    if configured := os.environ.get("EARSHOT_CACHE"):
        return Path(configured)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "earshot"


class PcmCache:
    """Samples of recordings by what their files hold.

    They may be a household's: the folder, where it is made, and the files are nobody else's to read.
    """

    def __init__(self, folder: Path) -> None:
        self._data_path = folder / "samples.i16"
        self._index_path = folder / "index.jsonl"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for path in (self._data_path, self._index_path, folder / "files.jsonl"):
                path.touch(mode=0o600)
                path.chmod(0o600)
        except OSError as error:
            raise OperatorError(
                f"cannot write the cache in {folder}: {error.strerror}; set EARSHOT_CACHE to a folder with space"
            ) from error
        self._fingerprints = Fingerprints(folder / "files.jsonl")
        self._spans: dict[str, tuple[int, int]] = {}
        self._samples: Int16Array = np.zeros(0, dtype=np.int16)

    @contextmanager
    def alone(self, on_wait: Callable[[], None]) -> Iterator[None]:
        """Keep out other processes that ask for the same, not those that read or add.

        Trainings that begin together make a pool of sounds or its frames once: the second finds what the first made.
        `on_wait` is called before waiting.
        """
        with (self._data_path.parent / "preparing.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                on_wait()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def add(self, recordings: Sequence[Recording], progress: Callable[[int], None] | None = None) -> int:
        """Decode what is missing and map the file; returns how many recordings were decoded.

        `progress` is called with 1 for each recording done. Raises OperatorError that names an unreadable file.
        """
        decoded = 0
        with self._locked():
            self._load_index()
            with self._data_path.open("ab") as data, self._index_path.open("a", encoding="utf-8") as index:
                for recording in recordings:
                    key = self.key(recording)
                    if key not in self._spans:
                        count = self._append(key, recording.name, decode_blocks(recording.path), data, index)
                        if count == 0:
                            raise OperatorError(f"{recording.path} holds no audio; delete its line from the manifest")
                        decoded += 1
                    if progress is not None:
                        progress(1)
        self._map()
        return decoded

    def keep(self, makers: Mapping[str, Callable[[], Int16Array]]) -> int:
        """Make the samples of these keys unless they are here already; returns how many were made.

        A key names all that its samples follow from. Other processes are kept waiting only while samples are written.
        """
        with self._locked():
            self._load_index()
        missing = [key for key in makers if key not in self._spans]
        for key in missing:
            samples = makers[key]()
            with (
                self._locked(),
                self._data_path.open("ab") as data,
                self._index_path.open("a", encoding="utf-8") as index,
            ):
                self._append(key, "made", [samples], data, index)
        self._map()
        return len(missing)

    def samples(self, recording: Recording) -> Int16Array:
        """The recording's samples, a read-only view; the recording must have been added."""
        return self.kept(self.key(recording))

    def kept(self, key: str) -> Int16Array:
        """Samples by their key, a read-only view; KeyError if they are not here."""
        start, count = self._spans[key]
        return self._samples[start : start + count]

    def key(self, recording: Recording) -> str:
        """What names a recording's samples: a hash of its file's content.

        Raises:
            OperatorError: the file cannot be read.
        """
        try:
            return self._fingerprints.of(recording.path)
        except OSError as error:
            raise OperatorError(
                f"cannot read {recording.path}: {error.strerror}; check the manifest's folder"
            ) from error

    def _append(self, key: str, name: str, blocks: Iterable[Int16Array], data: IO[bytes], index: IO[str]) -> int:
        """Write samples, then the index line that makes them valid, unless there are none; returns how many."""
        if data.seek(0, os.SEEK_END) % 2:
            data.write(b"\0")  # half a sample, left by a kill
        start = data.seek(0, os.SEEK_END) // 2
        count = 0
        for block in blocks:
            data.write(block.tobytes())
            count += len(block)
        data.flush()
        if count:
            index.write(json.dumps({"key": key, "start": start, "count": count, "name": name}) + "\n")
            index.flush()
            self._spans[key] = (start, count)
        return count

    def _map(self) -> None:
        if self._data_path.stat().st_size:
            self._samples = np.memmap(self._data_path, dtype=np.int16, mode="r")

    def _load_index(self) -> None:
        size = self._data_path.stat().st_size // 2
        for line in self._index_path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                start, count = int(entry["start"]), int(entry["count"])
                if start + count <= size:
                    self._spans[str(entry["key"])] = (start, count)
            except (ValueError, KeyError, TypeError):
                continue  # a line cut by a kill: its recording is decoded again

    @contextmanager
    def _locked(self) -> Iterator[None]:
        with (self._data_path.parent / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def decode_blocks(path: Path) -> Iterator[Int16Array]:
    """A file of any rate and channel count as mono int16 blocks at 16 kHz."""
    try:
        with sf.SoundFile(path) as audio:
            resampler = soxr.ResampleStream(audio.samplerate, SAMPLE_RATE_HZ, 1, dtype="float32")
            for block in audio.blocks(BLOCK_FRAMES, dtype="float32", always_2d=True):
                mono = np.ascontiguousarray(block.mean(axis=1))
                yield to_int16(resampler.resample_chunk(mono))
            yield to_int16(resampler.resample_chunk(np.zeros(0, dtype=np.float32), last=True))
    except (sf.LibsndfileError, OSError) as error:
        raise OperatorError(f"cannot decode {path}: {error}; remove it from the manifest or repair it") from error


def to_int16(samples: npt.NDArray[np.float32]) -> Int16Array:
    """Round to 16 bits and cut at full scale, 1.0."""
    scaled = np.clip(np.rint(samples * 32768.0), -32768, 32767)
    return np.asarray(scaled, dtype=np.int16)
