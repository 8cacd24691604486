"""FLAC in memory.

libsndfile works on a file descriptor here, not on a Python file object: the object would need callbacks in memory that
is writable and executable, which a hardened service does not get.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import soundfile
from numpy.typing import NDArray

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples


def encode_flac(pcm: NDArray[np.int16]) -> bytes:
    """Compress int16[n], 16 kHz mono."""
    with _memory_file() as descriptor:
        with soundfile.SoundFile(
            descriptor, "w", SAMPLE_RATE_HZ, 1, format="FLAC", subtype="PCM_16", closefd=False
        ) as file:
            file.write(pcm)
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0)


def decode_flac(data: bytes) -> tuple[Samples, int]:
    """Return float32[n] (or [n, channels]) and the sample rate.

    Raises:
        soundfile.SoundFileError: it is no audio.
    """
    with _memory_file() as descriptor:
        os.pwrite(descriptor, data, 0)
        samples, rate_hz = soundfile.read(descriptor, dtype="float32", closefd=False)
        return samples, int(rate_hz)


@contextmanager
def _memory_file() -> Iterator[int]:
    """A descriptor of a file that no disk sees, where the system has such files."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("audio")
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    else:
        with tempfile.TemporaryFile() as file:
            yield file.fileno()
