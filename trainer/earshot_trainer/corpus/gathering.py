"""A folder of sounds without sirens, such as a game's music and effects, as a corpus: copies of them and a manifest."""

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from earshot_node.errors import OperatorError
from earshot_node.synth.filters import Samples, rms_dbfs
from earshot_trainer.corpus.cache import to_int16
from earshot_trainer.corpus.layouts import MANIFEST_NAME
from earshot_trainer.corpus.recordings import LEAVE_OUT_NOTE
from earshot_trainer.corpus.writing import Row, write_manifest, write_opus
from earshot_trainer.network.architecture import SAMPLE_RATE_HZ
from earshot_trainer.training.teacher import Tagger, siren_column

LEAST_S: Final = 0.3
LEAST_DBFS: Final = -70.0
LONG_S: Final = 10.0
MAY_BE_A_SIREN: Final = "may be a siren"
TELLING_NAMES: Final = ("siren", "alarm", "police", "ambulance")
"""In a file's name these are enough to leave it out, whatever is heard."""
SUFFIXES: Final = frozenset({".aiff", ".flac", ".mp3", ".oga", ".ogg", ".opus", ".wav"})


@dataclass(frozen=True)
class GatherOrder:
    """What is taken of a folder.

    Attributes:
        source: whose sounds they are, for the manifest. Rare labels of a source are drawn more often than by their
            size, so what several folders hold of one kind is better one source than many.
        licence: of the sounds, for the manifest and a model's card.
        most_s: of each file, from its middle.
        most_siren_score: a file in which the teacher hears a siren better is left out.
    """

    source: str
    licence: str = ""
    most_s: float = 60.0
    most_siren_score: float = 0.1


@dataclass(frozen=True)
class Gathered:
    """What came of it: files and seconds that were taken, and files left out by reason."""

    manifest: Path
    taken: int
    duration_s: float
    left_out: dict[str, int]


@dataclass(frozen=True)
class _Sound:
    """One file's excerpt; `doubt` says why it may be a siren, empty where nothing speaks for it."""

    orig: str
    samples: Samples
    doubt: str

    @property
    def duration_s(self) -> float:
        return len(self.samples) / SAMPLE_RATE_HZ


def sound_files(folder: Path) -> list[Path]:
    """Return the audio files below a folder, by name; symbolic links are not followed.

    Raises:
        OperatorError: it is no folder, or holds none.
    """
    if not folder.is_dir():
        raise OperatorError(f"{folder} is no folder; give one that holds audio files")
    found = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in SUFFIXES and _is_plain(path)]
    if not found:
        raise OperatorError(f"{folder} holds no audio ({', '.join(sorted(SUFFIXES))}); give a folder that does")
    return found


def gather(
    folder: Path,
    out: Path,
    order: GatherOrder,
    teacher: Tagger | None,
    progress: Callable[[int], None] = lambda _: None,
) -> Gathered:
    """Write 16 kHz mono Ogg Opus copies of the sounds below `folder`, and `manifest.csv`, to `out`, which is made.

    Each file is a group of its own. What cannot be read, is silent, shorter than .3 s or there twice is left out, and
    so is what may be a siren: by its name, or as `teacher` hears it; these are in the manifest, with the reason as a
    note to leave them out, so that a person can look. The manifest is written last: a folder without one was not
    finished. `progress` is called with 1 after each file.

    Raises:
        OperatorError: nothing to gather, or nothing can be written there.
    """
    files = sound_files(folder)
    manifest = out / MANIFEST_NAME
    left_out: Counter[str] = Counter()
    rows: list[Row] = []
    taken_s: list[float] = []
    seen: set[bytes] = set()
    try:
        out.mkdir(parents=True, exist_ok=True)
        manifest.unlink(missing_ok=True)
        for path in files:
            found = _examine(path, folder, order, teacher, seen)
            if isinstance(found, _Sound):
                rows.append(_row(found, f"{out.absolute().name}_{len(rows):04}.opus", order))
                if found.doubt:
                    left_out[MAY_BE_A_SIREN] += 1
                else:
                    write_opus(out / rows[-1].path, np.clip(found.samples, -1.0, 1.0))
                    taken_s.append(found.duration_s)
            else:
                left_out[found] += 1
            progress(1)
        write_manifest(manifest, rows)
    except (OSError, soundfile.LibsndfileError) as error:
        raise OperatorError(f"cannot write sounds to {out}: {error}; try another folder") from error
    return Gathered(manifest, len(taken_s), sum(taken_s), dict(left_out))


def _examine(path: Path, folder: Path, order: GatherOrder, teacher: Tagger | None, seen: set[bytes]) -> _Sound | str:
    """Return what a file gives, or why it gives nothing; `seen` grows by a digest of what it gives."""
    try:
        samples = _middle(path, order.most_s)
    except (OSError, soundfile.LibsndfileError):
        return "cannot be read"
    if len(samples) < LEAST_S * SAMPLE_RATE_HZ:
        return f"shorter than {LEAST_S:g} s"
    if rms_dbfs(samples) < LEAST_DBFS:
        return "silent"
    digest = hashlib.sha256(samples.tobytes()).digest()
    if digest in seen:
        return "there twice"
    seen.add(digest)
    orig = path.relative_to(folder).as_posix()
    return _Sound(orig, samples, _doubt(path.name, samples, order, teacher))


def _middle(path: Path, most_s: float) -> Samples:
    """Return at most so many seconds from the middle of a file, 16 kHz mono."""
    with soundfile.SoundFile(path) as file:
        count = min(file.frames, round(most_s * file.samplerate))
        file.seek((file.frames - count) // 2)
        samples = file.read(count, dtype="float32", always_2d=True).mean(axis=1)
        rate_hz = file.samplerate
    return np.asarray(soxr.resample(samples, rate_hz, SAMPLE_RATE_HZ), dtype=np.float32)


def _doubt(name: str, samples: Samples, order: GatherOrder, teacher: Tagger | None) -> str:
    telling = [word for word in TELLING_NAMES if word in name.lower()]
    if telling:
        return f"may be a siren by its name ({telling[0]})"
    if teacher is None:
        return ""
    score = float(siren_column(teacher, teacher.score(to_int16(samples))).max())
    return f"the teacher hears a siren ({score:.2f})" if score > order.most_siren_score else ""


def _row(sound: _Sound, name: str, order: GatherOrder) -> Row:
    label, kind = ("recording", "long") if sound.duration_s >= LONG_S else ("sound", "clip")
    note = f"{LEAVE_OUT_NOTE}: {sound.doubt}" if sound.doubt else ""
    return Row(name, label, kind, order.source, sound.orig, order.licence, f"{sound.duration_s:.2f}", note)


def _is_plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()
