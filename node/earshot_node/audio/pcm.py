"""Raw PCM to 16 kHz mono float: formats, resampling with exact sample accounting, cutting into whole hops."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import soxr

from earshot_node.audio.block import SAMPLE_RATE_HZ, Samples

HOP_SAMPLES = 640
"""One decision of the model, 40 ms; blocks of live sources are whole hops, so that one block wakes inference once."""

_FULL_SCALE = 32768.0
_EMPTY: Samples = np.empty(0, dtype=np.float32)


@dataclass(frozen=True, slots=True)
class PcmFormat:
    """Interleaved signed 16 bit little endian PCM."""

    rate_hz: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return 2 * self.channels

    @property
    def bytes_per_s(self) -> int:
        """Bytes of one second."""
        return self.rate_hz * self.frame_bytes


class Resampler:
    """Mono float32 at any rate to 16 kHz, streaming; n samples in give round(n * 16000 / rate) out after `flush`."""

    def __init__(self, rate_hz: int) -> None:
        self._stream: soxr.ResampleStream | None = None
        if rate_hz != SAMPLE_RATE_HZ:
            self._stream = soxr.ResampleStream(rate_hz, SAMPLE_RATE_HZ, 1, dtype="float32", quality="HQ")

    def push(self, samples: Samples) -> Samples:
        """Return what is ready; the filter holds back up to some 60 ms."""
        if self._stream is None:
            return samples
        out: Samples = self._stream.resample_chunk(samples)
        return out

    def flush(self) -> Samples:
        """Return the rest; the stream takes nothing afterwards."""
        if self._stream is None:
            return _EMPTY
        out: Samples = self._stream.resample_chunk(_EMPTY, last=True)
        return out


class PcmConverter:
    """PCM bytes, cut anyhow, to 16 kHz mono in whole hops: channels averaged, gain applied, resampled."""

    def __init__(self, pcm_format: PcmFormat, gain_db: float = 0.0) -> None:
        self._format = pcm_format
        self._scale = np.float32(10.0 ** (gain_db / 20.0) / (_FULL_SCALE * pcm_format.channels))
        self._resampler = Resampler(pcm_format.rate_hz)
        self._partial_frame = b""
        self._partial_hop = _EMPTY
        self._frames_in = 0
        self._samples_out = 0

    @property
    def pending_s(self) -> float:
        """Length of the audio taken but not yet given: in the filter or short of a hop."""
        return max(0.0, self._frames_in / self._format.rate_hz - self._samples_out / SAMPLE_RATE_HZ)

    def push(self, pcm: bytes) -> Samples:
        """Return float32[k * 640], k >= 0."""
        resampled = self._resampler.push(self._to_mono(pcm))
        if len(self._partial_hop):
            resampled = np.concatenate((self._partial_hop, resampled))
        whole = len(resampled) - len(resampled) % HOP_SAMPLES
        self._partial_hop = resampled[whole:]
        self._samples_out += whole
        return resampled[:whole]

    def flush(self) -> Samples:
        """Return what is left, float32[n] of any length; nothing may be pushed afterwards."""
        rest = np.concatenate((self._partial_hop, self._resampler.flush()))
        self._partial_hop = _EMPTY
        self._samples_out += len(rest)
        return rest

    def _to_mono(self, pcm: bytes) -> Samples:
        if self._partial_frame:
            pcm = self._partial_frame + pcm
        whole = len(pcm) - len(pcm) % self._format.frame_bytes
        self._partial_frame = pcm[whole:]
        values = np.frombuffer(pcm, dtype="<i2", count=whole // 2)
        self._frames_in += whole // self._format.frame_bytes
        if self._format.channels == 1:
            return values * self._scale
        summed = values.reshape(-1, self._format.channels).sum(axis=1, dtype=np.float32)
        mixed: Samples = summed * self._scale
        return mixed


def rechunk(chunks: Iterable[Samples], size_samples: int) -> Iterator[tuple[Samples, bool]]:
    """Cut into float32[size_samples], the last one shorter; the flag is true for the last, which is never empty."""
    held: Samples = _EMPTY
    for chunk in chunks:
        held = np.concatenate((held, chunk)) if len(held) else chunk
        start = 0
        while len(held) - start > size_samples:
            yield held[start : start + size_samples], False
            start += size_samples
        held = held[start:]
    if len(held):
        yield held, True
