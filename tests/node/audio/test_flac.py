"""FLAC in memory, where nothing may be writable and executable at once."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from earshot_node.audio.flac import decode_flac, encode_flac

# prctl(PR_SET_MDWE, PR_MDWE_REFUSE_EXEC_GAIN): what the service's MemoryDenyWriteExecute does, without systemd.
HARDENED = """
import ctypes, sys
import numpy as np
from earshot_node.audio.flac import decode_flac, encode_flac
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    sys.exit("no PR_SET_MDWE")
pcm = np.arange(-8000, 8000, dtype=np.int16)
samples, rate_hz = decode_flac(encode_flac(pcm))
assert rate_hz == 16000
assert (samples * 32768 == pcm).all()
print("done")
"""


def test_samples_come_back_as_they_were() -> None:
    pcm = np.random.default_rng(0).integers(-32768, 32767, 12345).astype(np.int16)
    samples, rate_hz = decode_flac(encode_flac(pcm))
    assert rate_hz == 16000
    np.testing.assert_array_equal((samples * 32768).astype(np.int16), pcm)


def test_bytes_that_are_no_audio_are_refused() -> None:
    with pytest.raises(soundfile.SoundFileError):
        decode_flac(b"no audio at all")


def test_it_works_where_memory_is_never_writable_and_executable() -> None:
    result = subprocess.run([sys.executable, "-c", HARDENED], capture_output=True, text=True, timeout=60, check=False)
    if "no PR_SET_MDWE" in result.stderr:
        return  # a kernel before 6.3 cannot refuse it
    assert result.stdout.strip() == "done", result.stderr
