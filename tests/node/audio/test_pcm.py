import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from earshot_node.audio.block import SAMPLE_RATE_HZ
from earshot_node.audio.pcm import HOP_SAMPLES, PcmConverter, PcmFormat, Resampler, rechunk

RATES_HZ = (8000, 11025, 16000, 22050, 44100, 48000, 96000)


def noise_pcm(frames: int, channels: int = 1) -> bytes:
    values = np.random.default_rng(1).normal(0, 4000, frames * channels)
    return values.astype("<i2").tobytes()


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    parts, at, turn = [], 0, 0
    while at < len(data):
        size = sizes[turn % len(sizes)]
        parts.append(data[at : at + size])
        at, turn = at + size, turn + 1
    return parts


def convert(pcm_format: PcmFormat, parts: list[bytes]) -> tuple[np.ndarray, list[int]]:
    converter = PcmConverter(pcm_format)
    blocks = [converter.push(part) for part in parts]
    lengths = [len(block) for block in blocks]
    return np.concatenate([*blocks, converter.flush()]), lengths


@given(
    rate_hz=st.sampled_from(RATES_HZ),
    channels=st.integers(1, 3),
    frames=st.integers(1, 20_000),
    sizes=st.lists(st.integers(1, 9_000), min_size=1, max_size=5),
)
@settings(max_examples=60, deadline=None)
def test_pcm_cut_anyhow_gives_the_same_samples_in_whole_hops(
    rate_hz: int, channels: int, frames: int, sizes: list[int]
) -> None:
    pcm = noise_pcm(frames, channels)
    whole, _ = convert(PcmFormat(rate_hz, channels), [pcm])
    parts = cut(pcm, [max(size, len(pcm) // 200 + 1) for size in sizes])
    blocks, lengths = convert(PcmFormat(rate_hz, channels), parts)
    assert all(length % HOP_SAMPLES == 0 for length in lengths)
    assert abs(len(whole) - round(frames * SAMPLE_RATE_HZ / rate_hz)) <= 1
    np.testing.assert_allclose(blocks, whole, atol=1e-6)


def test_16_khz_mono_passes_bit_by_bit() -> None:
    pcm = noise_pcm(3000)
    samples, _ = convert(PcmFormat(16000, 1), [pcm])
    assert np.array_equal(samples, np.frombuffer(pcm, "<i2").astype(np.float32) / 32768)


def test_channels_are_averaged() -> None:
    left, right = np.full(1280, 8000), np.full(1280, -4000)
    pcm = np.stack([left, right], axis=1).astype("<i2").tobytes()
    samples, _ = convert(PcmFormat(16000, 2), [pcm])
    np.testing.assert_allclose(samples, 2000 / 32768, rtol=1e-6)


def test_gain_is_applied() -> None:
    converter = PcmConverter(PcmFormat(16000, 1), gain_db=20.0)
    samples = converter.push(np.full(640, 1000, "<i2").tobytes())
    np.testing.assert_allclose(samples, 10_000 / 32768, rtol=1e-6)
    assert samples.dtype == np.float32


def test_pending_audio_is_what_came_in_and_did_not_go_out() -> None:
    converter = PcmConverter(PcmFormat(16000, 1))
    assert len(converter.push(noise_pcm(1000))) == 640
    assert converter.pending_s == pytest.approx(360 / 16000)
    converter = PcmConverter(PcmFormat(48000, 1))
    out = sum(len(converter.push(noise_pcm(1920))) for _ in range(50))
    assert converter.pending_s == pytest.approx(2.0 - out / 16000)
    assert 0 < converter.pending_s < 0.11


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_resampled_tone_keeps_frequency_and_level(rate_hz: int) -> None:
    seconds = np.arange(2 * rate_hz) / rate_hz
    resampler = Resampler(rate_hz)
    tone = np.sin(2 * np.pi * 1000 * seconds).astype(np.float32)
    out = np.concatenate([resampler.push(tone), resampler.flush()])
    assert len(out) == 2 * SAMPLE_RATE_HZ
    middle = out[8000:24000]
    expected = np.sin(2 * np.pi * 1000 * np.arange(8000, 24000) / SAMPLE_RATE_HZ)
    np.testing.assert_allclose(middle, expected, atol=1e-3)


def test_tone_above_8_khz_does_not_fold_back() -> None:
    resampler = Resampler(48000)
    tone = np.sin(2 * np.pi * 9500 * np.arange(96000) / 48000).astype(np.float32)
    out = np.concatenate([resampler.push(tone), resampler.flush()])
    assert np.abs(out[2000:-2000]).max() < 1e-3


@given(st.lists(st.integers(0, 50), max_size=20), st.integers(1, 40))
def test_rechunk_keeps_every_sample_and_marks_only_the_last(lengths: list[int], size: int) -> None:
    everything = np.arange(sum(lengths), dtype=np.float32)
    chunks = np.split(everything, np.cumsum(lengths)[:-1]) if lengths else []
    pieces = list(rechunk(chunks, size))
    assert np.array_equal(np.concatenate([piece for piece, _ in pieces] or [everything]), everything)
    assert [last for _, last in pieces] == [False] * (len(pieces) - 1) + [True] * bool(pieces)
    assert all(len(piece) == size for piece, _ in pieces[:-1])
    assert all(0 < len(piece) <= size for piece, _ in pieces)
