"""Audio files as 16 kHz mono samples."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from earshot_node.audio.block import Samples
from earshot_node.audio.pcm import Resampler
from earshot_node.errors import AudioFileError

_SLOWEST_RATE_HZ = 1_000
_FASTEST_RATE_HZ = 768_000
_CONVERT = "WAV, FLAC, OGG, MP3 and Opus can be read; convert others with `ffmpeg -i FILE out.wav`"


def read_audio_file(path: str | Path) -> Iterator[Samples]:
    """Yield a file's audio in order as float32[n], 16 kHz mono, about a second each; none is empty.

    Any rate and channel count; channels are averaged; n frames give round(n * 16000 / rate) samples, give or take one.
    Values that are not finite become 0.

    Raises:
        AudioFileError: at the first item or later; the file is missing, empty, no audio or broken in the middle.
    """
    name = str(path)
    try:
        with soundfile.SoundFile(name) as file:
            _check_rate(name, file.samplerate)
            yield from _resampled(name, file)
    except soundfile.LibsndfileError as error:
        raise AudioFileError(f"{name}: {_cause(path, error)}", name) from error


def _resampled(name: str, file: soundfile.SoundFile) -> Iterator[Samples]:
    resampler = Resampler(file.samplerate)
    frames = 0
    while len(block := file.read(file.samplerate, dtype="float32", always_2d=True)):
        frames += len(block)
        mono = block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)
        if not np.isfinite(mono).all():
            mono = np.nan_to_num(mono, nan=0.0, posinf=0.0, neginf=0.0)
        if len(ready := resampler.push(np.ascontiguousarray(mono))):
            yield ready
    if not frames:
        raise AudioFileError(f"{name}: holds no audio; was its recording or download interrupted?", name)
    if len(rest := resampler.flush()):
        yield rest


def _check_rate(name: str, rate_hz: int) -> None:
    if not _SLOWEST_RATE_HZ <= rate_hz <= _FASTEST_RATE_HZ:
        raise AudioFileError(f"{name}: a sample rate of {rate_hz} Hz is not supported; {_CONVERT}", name)


def _cause(path: str | Path, error: soundfile.LibsndfileError) -> str:
    file = Path(path)
    try:
        if file.is_dir():
            return "is a folder; name an audio file"
        with file.open("rb") as opened:
            if not opened.read(1):
                return "is empty; was its recording or download interrupted?"
    except OSError as problem:
        return f"{problem.strerror or problem}; check the path and its permissions"
    return f"cannot be decoded ({error.error_string.rstrip('.')}); {_CONVERT}"
