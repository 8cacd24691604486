import os
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from support.listening import Listening, assert_continuous, listening

from earshot_node.audio.pipe_reader import Patience
from earshot_node.contract.config import StdinSource

READER = """
from earshot_node.audio.intake import Intake
from earshot_node.contract.config import StdinSource
intake = Intake([StdinSource(type="stdin", id="pipe")], lambda *_: None)
intake.start()
samples = 0
while not intake.ended:
    intake.wait(1)
    samples += sum(len(block.samples) for block in intake.take())
intake.stop()
print(samples)
"""


class Pipe:
    """A pipe with a thread that writes, as another program would."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()

    def write_all(self, data: bytes) -> None:
        def write() -> None:
            with os.fdopen(self.writer, "wb", buffering=0) as file:
                file.write(data)

        threading.Thread(target=write, daemon=True).start()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    os.close(pipe.reader)


def source(rate_hz: int = 16000, channels: int = 1) -> StdinSource:
    return StdinSource(type="stdin", id="pipe", rate_hz=rate_hz, channels=channels)


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(-9000, 9000, count).astype("<i2")


def assert_one_ended_stream(heard: Listening) -> None:
    blocks = heard.of("pipe")
    assert_continuous(blocks)
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert heard.intake.status("pipe").dropped_s == 0


@pytest.mark.parametrize("frames", [6400, 100_001])
def test_standard_input_arrives_whole_and_ends(frames: int, pipe: Pipe) -> None:
    values = noise(frames)
    pipe.write_all(values.tobytes())
    with listening(source(), stdin=pipe.reader, queue_s=0.5) as heard:
        heard.until(lambda: heard.intake.ended)
    assert_one_ended_stream(heard)
    assert np.array_equal(heard.samples("pipe"), values / np.float32(32768))
    assert heard.states("pipe") == ["healthy", "ended"]


def test_stereo_at_44_1_khz_has_the_right_length(pipe: Pipe) -> None:
    pipe.write_all(noise(2 * 44_100).tobytes())
    with listening(source(44100, 2), stdin=pipe.reader) as heard:
        heard.until(lambda: heard.intake.ended)
    assert_one_ended_stream(heard)
    assert len(heard.samples("pipe")) == pytest.approx(16_000, abs=1)


def test_empty_standard_input_ends(pipe: Pipe) -> None:
    os.close(pipe.writer)
    with listening(source(), stdin=pipe.reader) as heard:
        heard.until(lambda: heard.intake.ended)
    assert heard.of("pipe") == []
    assert heard.states("pipe") == ["ended"]


def test_silent_writer_is_stalled_but_not_given_up(pipe: Pipe) -> None:
    patience = Patience(opening_s=0.1, stall_s=0.1, give_up_s=0.1)
    with listening(source(), stdin=pipe.reader, patience=patience) as heard:
        problem = heard.until_state("pipe", "stalled").problem
        os.write(pipe.writer, noise(16_000).tobytes())
        heard.until(lambda: heard.states("pipe") == ["stalled", "healthy", "stalled"])
        os.close(pipe.writer)
        heard.until(lambda: heard.intake.ended)
    assert problem.startswith("nothing comes on standard input")
    assert heard.states("pipe") == ["stalled", "healthy", "stalled", "ended"]
    assert_one_ended_stream(heard)
    assert len(heard.samples("pipe")) == 16_000


def test_stop_ends_a_reader_that_waits(pipe: Pipe) -> None:
    with listening(source(), stdin=pipe.reader) as heard:
        pass
    assert not heard.intake.ended
    os.close(pipe.writer)


def test_real_standard_input_is_read() -> None:
    command = [sys.executable, "-c", READER]
    done = subprocess.run(command, input=noise(20_000).tobytes(), capture_output=True, check=True, timeout=60)
    assert done.stdout == b"20000\n"
