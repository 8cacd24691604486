"""Real encoders, there and back; every one keeps the time axis to the sample."""

import io
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
import soundfile
import soxr

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.errors import OperatorError
from earshot_node.synth.filters import Samples
from earshot_trainer.evaluate.conditions.background import at_level
from earshot_trainer.evaluate.conditions.take import Take, fit, quantize

TELEPHONE_RATE_HZ = 8_000
FFMPEG_TIMEOUT_S = 60.0
_OPUS_LEAST_BIT_S, _OPUS_SPAN_BIT_S = 6_000.0, 250_000.0


def through_opus(take: Take, rng: np.random.Generator, bit_s: float) -> Samples:
    """The plain take through Opus in Ogg at about `bit_s` bits a second."""
    return opus(at_level(take, rng), bit_s)


def through_g711(take: Take, rng: np.random.Generator, law: str) -> Samples:
    """The plain take through G.711 at 8 kHz; `law` is ALAW or ULAW."""
    return g711(at_level(take, rng), law)


def through_aac(take: Take, rng: np.random.Generator, bit_s: float) -> Samples:
    """The plain take through AAC-LC at about `bit_s` bits a second; needs ffmpeg."""
    return aac(at_level(take, rng), bit_s)


def opus(samples: Samples, bit_s: float) -> Samples:
    """Encode and decode float32[n] at 16 kHz by libopus, variable rate."""
    return fit(_read(encode_opus(samples, bit_s)), len(samples))


def encode_opus(samples: Samples, bit_s: float) -> io.BytesIO:
    """Return an Ogg Opus file of float32[n] at 16 kHz."""
    level = 1.0 - (bit_s - _OPUS_LEAST_BIT_S) / _OPUS_SPAN_BIT_S  # libsndfile's scale from 256 down to 6 kbit/s
    coded = io.BytesIO()
    soundfile.write(coded, samples, SAMPLE_RATE_HZ, format="OGG", subtype="OPUS", compression_level=level)
    return coded


def g711(samples: Samples, law: str) -> Samples:
    """Encode and decode float32[n] at 16 kHz as a telephone does: 8 kHz, 8 bit A-law or mu-law."""
    narrow = soxr.resample(samples, SAMPLE_RATE_HZ, TELEPHONE_RATE_HZ)
    coded = io.BytesIO()
    soundfile.write(coded, np.clip(narrow, -1.0, 1.0), TELEPHONE_RATE_HZ, format="WAV", subtype=law)
    return quantize(fit(soxr.resample(_read(coded), TELEPHONE_RATE_HZ, SAMPLE_RATE_HZ), len(samples)))


def aac(samples: Samples, bit_s: float) -> Samples:
    """Encode and decode float32[n] at 16 kHz by ffmpeg's AAC; MP4 carries the encoder's delay, so that none is left.

    Raises:
        OperatorError: ffmpeg fails.
    """
    raw = ("-f", "f32le", "-ar", str(SAMPLE_RATE_HZ), "-ac", "1")
    with tempfile.TemporaryDirectory() as folder:
        coded = str(Path(folder) / "take.m4a")
        _ffmpeg([*raw, "-i", "-", "-c:a", "aac", "-b:a", str(round(bit_s)), "-f", "mp4", coded], samples.tobytes())
        decoded = _ffmpeg(["-i", coded, *raw, "-"], b"")
    return fit(np.frombuffer(decoded, np.float32), len(samples))


def why_no_aac() -> str:
    """Return why AAC cannot be measured here; empty where it can."""
    return "" if shutil.which("ffmpeg") else "ffmpeg is not installed; try `sudo apt-get install ffmpeg`"


def _read(coded: io.BytesIO) -> Samples:
    coded.seek(0)
    samples: Samples = soundfile.read(coded, dtype="float32")[0]
    return samples


def _ffmpeg(arguments: list[str], data: bytes) -> bytes:
    command = ["ffmpeg", "-hide_banner", "-loglevel", "error", "-threads", "1", *arguments]
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=True, timeout=FFMPEG_TIMEOUT_S)
    except (OSError, subprocess.SubprocessError) as error:
        told = (getattr(error, "stderr", b"") or b"").decode(errors="replace").strip()
        lines = told.splitlines() or [str(error)]
        raise OperatorError(f"ffmpeg cannot code AAC: {lines[-1]}; install a full ffmpeg, or hide it") from error
    return done.stdout
