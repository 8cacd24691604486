import json
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.audio_server import AudioServer
from support.children import children_like
from support.listening import assert_continuous, listening
from support.waiting import wait_until

from earshot_node.audio.intake import QUEUE_S
from earshot_node.audio.microphone_child import OVERFLOW
from earshot_node.audio.pipe_reader import Patience
from earshot_node.contract.config import UrlSource

NOISE = np.random.default_rng(5).uniform(-0.5, 0.5, 44_100 * 3).astype(np.float32)
SILENT_CHILD = """#!/bin/sh
printf 'RIFF\\377\\377\\377\\377WAVEfmt \\020\\0\\0\\0\\001\\0\\001\\0\\200\\076\\0\\0\\0\\175\\0\\0\\002\\0\\020\\0'
printf 'data\\377\\377\\377\\377'
{audio}
exec sleep 600
"""
AUDIO = "head -c 6400 /dev/urandom"


def source(url: str, source_id: str = "yard", **options: object) -> UrlSource:
    return UrlSource(type="url", id=source_id, url=url, **options)


def no_jitter() -> float:
    return 1.0


@pytest.fixture
def noise_file(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    soundfile.write(path, NOISE, 44100)
    return path


def fake_ffmpeg(folder: Path, audio: str = "") -> str:
    """A program that opens like ffmpeg, gives so much audio and then nothing."""
    path = folder / "fake-ffmpeg"
    path.write_text(SILENT_CHILD.format(audio=audio))
    path.chmod(0o755)
    return str(path)


@pytest.mark.ffmpeg
def test_stream_by_http_arrives_whole_and_is_opened_again_at_its_end(noise_file: Path) -> None:
    with AudioServer(noise_file) as server, listening(source(f"http://127.0.0.1:{server.port}/a.wav")) as heard:
        heard.until(lambda: {block.stream for block in heard.of("yard")} >= {0, 1})
        assert server.requests >= 2
    assert_continuous(heard.of("yard"))
    assert len(heard.samples("yard")) == pytest.approx(48_000, abs=1)
    assert heard.states("yard")[:3] == ["healthy", "absent", "healthy"]
    assert heard.intake.status("yard").reopened >= 1
    assert [block.last for block in heard.of("yard") if block.stream == 0].count(True) == 1


@pytest.mark.ffmpeg
def test_killed_ffmpeg_is_started_again_in_a_new_stream(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(NOISE, 20), 44100)
    with AudioServer(path) as server, listening(source(f"http://127.0.0.1:{server.port}/a"), random=no_jitter) as heard:
        heard.until_state("yard", "healthy")
        (child,) = children_like("ffmpeg")
        os.kill(child, signal.SIGKILL)
        heard.until(lambda: heard.states("yard") == ["healthy", "absent", "healthy"])
    assert_continuous(heard.of("yard"))
    assert {block.stream for block in heard.of("yard")} == {0, 1}
    assert heard.changes[1][1].problem == f"http://127.0.0.1:{server.port}: the stream ended"
    assert children_like("ffmpeg") == []


@pytest.mark.ffmpeg
def test_password_works_and_appears_in_no_log_and_no_problem(
    noise_file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    with AudioServer(noise_file, "user:s3cr3t") as server:
        right = source(f"http://user:s3cr3t@127.0.0.1:{server.port}/a.wav", "right")
        wrong = source(f"http://user:wr0ng@127.0.0.1:{server.port}/a.wav?token=t0ken", "wrong")
        with listening(right, wrong) as heard:
            heard.until(lambda: heard.states("right")[:2] == ["healthy", "absent"])
            problem = heard.until_state("wrong", "absent").problem
    assert "401" in problem
    everything = caplog.text + repr(heard.changes)
    assert "is absent" in everything
    for secret in ("s3cr3t", "wr0ng", "t0ken"):
        assert secret not in everything


def test_missing_ffmpeg_is_a_problem_that_says_how_to_get_it() -> None:
    with listening(source("http://127.0.0.1/"), ffmpeg="no-such-ffmpeg") as heard:
        problem = heard.until_state("yard", "absent").problem
    assert "`sudo apt-get install ffmpeg`" in problem


def test_stream_that_falls_silent_is_stalled_then_opened_again(tmp_path: Path) -> None:
    patience = Patience(opening_s=5, stall_s=0.2, give_up_s=0.2)
    with listening(source("x://y"), ffmpeg=fake_ffmpeg(tmp_path, AUDIO), patience=patience) as heard:
        heard.until(lambda: heard.states("yard") == ["healthy", "stalled", "healthy"])
    assert heard.changes[1][1].problem.startswith("the stream gives no audio")
    assert_continuous(heard.of("yard"))


def test_stream_that_never_begins_is_stalled_and_its_state_does_not_flap(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    patience = Patience(opening_s=0.1, stall_s=0.1, give_up_s=0.05)
    with listening(source("x://y"), ffmpeg=fake_ffmpeg(tmp_path), patience=patience, random=no_jitter) as heard:
        heard.until_state("yard", "stalled")
        first = children_like("fake-ffmpeg") or children_like("sleep 600")
        heard.until(lambda: set(children_like("sleep 600")) - set(first))
    assert heard.states("yard") == ["stalled"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_stop_ends_a_child_that_gives_nothing(tmp_path: Path) -> None:
    with listening(source("x://y"), ffmpeg=fake_ffmpeg(tmp_path)) as heard:
        heard.until(lambda: children_like("sleep 600"))
    assert children_like("sleep 600") == []


def test_blocks_nobody_takes_are_dropped_and_counted_and_a_new_stream_begins(tmp_path: Path) -> None:
    endless = fake_ffmpeg(tmp_path, "exec head -c 160000 /dev/urandom")
    with listening(source("x://y"), ffmpeg=endless, queue_s=1.0, random=lambda: 0.0) as heard:
        wait_until(lambda: "absent" in heard.states("yard"))
        status = heard.intake.status("yard")
        heard.until(lambda: heard.of("yard"))
    assert status.dropped_s == pytest.approx(4.0, abs=0.7)
    assert status.delivered_s == pytest.approx(5.0 - status.dropped_s)
    assert_continuous(heard.of("yard"))


def test_loss_that_a_child_tells_begins_a_new_stream_without_reopening(tmp_path: Path) -> None:
    go = tmp_path / "go"
    os.mkfifo(go)
    lossy = fake_ffmpeg(tmp_path, f"{AUDIO}; read line < {go}; echo '{OVERFLOW}' >&2; {AUDIO}")
    with listening(source("x://y"), ffmpeg=lossy) as heard:
        heard.until(lambda: heard.of("yard"))
        go.write_text("go\n")
        heard.until(lambda: heard.of("yard")[-1].stream == 1)
    assert_continuous(heard.of("yard"))
    assert heard.states("yard") == ["healthy"]
    assert heard.intake.status("yard").reopened == 0


def test_faster_than_real_time_is_slowed_down(tmp_path: Path) -> None:
    endless = fake_ffmpeg(tmp_path, "exec cat /dev/urandom")
    with listening(source("x://y"), ffmpeg=endless, patience=Patience(burst_s=0.5)) as heard:
        heard.until(lambda: heard.of("yard"))
        began_s = heard.of("yard")[0].end_monotonic_s
        heard.until(lambda: heard.of("yard")[-1].end_monotonic_s > began_s + 1.0)
    assert heard.intake.status("yard").delivered_s < 4.0
    assert heard.intake.status("yard").dropped_s == 0


NODE = """
import json, sys
from earshot_node.audio.intake import Intake
from earshot_node.contract.config import UrlSource
intake = Intake([UrlSource(type="url", id="yard", url="x://y")], lambda *_: None, ffmpeg=sys.argv[1])
intake.start()
intake.wait(60)
print(json.dumps("hears"), flush=True)
while True:
    intake.wait(60)
    intake.take()
"""


def test_child_dies_with_a_node_that_is_killed(tmp_path: Path) -> None:
    command = [sys.executable, "-c", NODE, fake_ffmpeg(tmp_path, AUDIO)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        assert json.loads(node.stdout.readline()) == "hears"
        wait_until(lambda: children_like("sleep 600", node.pid))
        (child,) = children_like("sleep 600", node.pid)
        node.kill()
    wait_until(lambda: not Path(f"/proc/{child}").exists(), what="the child's end")


def test_burst_that_a_server_may_send_fits_into_the_queue() -> None:
    assert Patience().burst_s < QUEUE_S
