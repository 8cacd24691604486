import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile

from earshot_node.audio.ffmpeg import ffmpeg_command, ffmpeg_problem, parse_wav_header, redact, shown_url
from earshot_node.audio.pcm import PcmFormat
from earshot_node.errors import SourceError

SECRET_URL = "rtsp://admin:p%40ss/w0rd!@camera.local:554/user/stream?token=s3cr3t"
UNKNOWN_SIZE = 0xFFFFFFFF


def chunk(name: bytes, body: bytes, size: int | None = None) -> bytes:
    return name + struct.pack("<I", len(body) if size is None else size) + body + b"\0" * (len(body) % 2)


def fmt(rate_hz: int = 44100, channels: int = 1, bits: int = 16) -> bytes:
    frame = channels * bits // 8
    return chunk(b"fmt ", struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * frame, frame, bits))


def wav(*chunks: bytes) -> bytes:
    return b"RIFF" + struct.pack("<I", UNKNOWN_SIZE) + b"WAVE" + b"".join(chunks)


HEADER = wav(fmt(), chunk(b"LIST", b"INFOISFT\x0e\0\0\0Lavf59.27.100\0"), b"data" + struct.pack("<I", UNKNOWN_SIZE))


def test_streamed_header_is_parsed_once_it_is_complete_and_not_before() -> None:
    assert all(parse_wav_header(HEADER[:length]) is None for length in range(len(HEADER)))
    assert parse_wav_header(HEADER) == (PcmFormat(44100, 1), len(HEADER))
    assert parse_wav_header(HEADER + b"\x01\x02") == (PcmFormat(44100, 1), len(HEADER))


@pytest.mark.parametrize(
    "data",
    [
        b"OggS" + bytes(20),
        wav(b"data" + struct.pack("<I", 0)),
        wav(fmt(bits=24), b"data\0\0\0\0"),
        wav(fmt(rate_hz=0), b"data\0\0\0\0"),
        wav(chunk(b"junk", bytes(100_000))),
    ],
)
def test_anything_else_is_refused_in_one_line(data: bytes) -> None:
    with pytest.raises(SourceError, match="ffmpeg sent") as raised:
        parse_wav_header(data)
    assert "\n" not in str(raised.value)


@pytest.mark.ffmpeg
def test_real_ffmpeg_keeps_the_rate_and_mixes_to_mono(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, np.full((4410, 2), [0.5, -0.25]), 44100)
    output = subprocess.run(ffmpeg_command(str(path), ()), capture_output=True, check=True).stdout
    parsed = parse_wav_header(output)
    assert parsed is not None
    pcm_format, begin = parsed
    assert pcm_format == PcmFormat(44100, 1)
    samples = np.frombuffer(output[begin:], "<i2") / 32768
    np.testing.assert_allclose(samples, np.full(4410, 0.125), atol=1e-3)


def test_missing_ffmpeg_says_how_to_get_it() -> None:
    with pytest.raises(SourceError, match=r"ffmpeg-of-nowhere is not installed.*apt-get install ffmpeg"):
        ffmpeg_command("rtsp://x", (), "ffmpeg-of-nowhere")


@pytest.mark.ffmpeg
def test_input_options_come_before_the_input() -> None:
    command = ffmpeg_command("rtsp://x", ("-rtsp_transport", "tcp"))
    at = command.index("-i")
    assert command[at - 2 : at + 2] == ["-rtsp_transport", "tcp", "-i", "rtsp://x"]
    assert command[-1] == "pipe:1"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (SECRET_URL.replace("/w0rd!", ""), "rtsp://camera.local:554"),
        ("http://10.0.0.3/audio.mp3?key=abc", "http://10.0.0.3"),
        ("/dev/shm/file.mp3", "the url"),
        ("rtsp://user:pass@host:notaport/x", "the url"),
        ("http://[half", "the url"),
    ],
)
def test_shown_url_is_scheme_and_host(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    "line",
    [
        f"{SECRET_URL}: Connection refused",
        f"[rtsp @ 0x55d0c8] method DESCRIBE failed: 401 for {SECRET_URL}.",
        f"Error opening '{SECRET_URL}'",
        "retry with http://other:w0rd@10.0.0.1/x?token=s3cr3t, giving up",
        "GET /user/stream?token=s3cr3t failed",
        "bad password p@ss or p%40ss",
    ],
)
def test_nothing_secret_survives_redaction(line: str) -> None:
    url = SECRET_URL.replace("/w0rd!", "")
    for secret in ("p%40ss", "p@ss", "s3cr3t", "other:w0rd", "/user/stream"):
        assert secret not in redact(line.replace("/w0rd!", ""), url)


def test_url_with_signs_that_no_parser_takes_is_hidden_as_a_whole() -> None:
    problem = ffmpeg_problem([f"{SECRET_URL}: Connection refused"], SECRET_URL)
    assert "w0rd" not in problem
    assert "s3cr3t" not in problem
    assert problem.endswith("Connection refused")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ([], "rtsp://cam: the stream ended"),
        (["rtsp://u:p@cam/x: Connection refused"], "rtsp://cam: Connection refused"),
        (
            ["[in#0 @ 0x5581] Error opening input: Connection refused", "Error opening input file rtsp://u:p@cam/x."],
            "rtsp://cam: Error opening input: Connection refused",
        ),
        (
            ["Output #0, wav, to 'pipe:1':", "Output file #0 does not contain any stream"],
            "rtsp://cam: the stream has no audio; switch audio on in the camera's settings",
        ),
    ],
)
def test_last_telling_line_becomes_the_problem(lines: list[str], problem: str) -> None:
    assert ffmpeg_problem(lines, "rtsp://u:p@cam/x") == problem
