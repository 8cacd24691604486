import threading
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.listening import Listening, assert_continuous, listening
from support.waiting import wait_until

from earshot_node.audio.intake import Intake
from earshot_node.contract.config import FileSource

NOISE = np.random.default_rng(5).uniform(-0.5, 0.5, 32_100).astype(np.float32)


@pytest.fixture
def noise_file(tmp_path: Path) -> Path:
    path = tmp_path / "noise.wav"
    soundfile.write(path, NOISE, 16000, subtype="FLOAT")
    return path


def source(path: Path, source_id: str = "yard", **options: object) -> FileSource:
    return FileSource(type="file", id=source_id, path=str(path), **options)


def test_fast_file_arrives_whole_with_its_last_block_marked(noise_file: Path) -> None:
    with listening(source(noise_file, real_time=False)) as heard:
        heard.until(lambda: heard.intake.ended)
    blocks = heard.of("yard")
    assert_continuous(blocks)
    assert [block.last for block in blocks] == [False] * (len(blocks) - 1) + [True]
    assert all(0 < len(block.samples) <= 16_000 for block in blocks)
    assert np.array_equal(heard.samples("yard"), NOISE)
    assert heard.states("yard") == ["healthy", "ended"]


def test_gain_amplifies_a_file(noise_file: Path) -> None:
    with listening(source(noise_file, real_time=False, gain_db=6.0)) as heard:
        heard.until(lambda: heard.intake.ended)
    np.testing.assert_allclose(heard.samples("yard"), NOISE * 10 ** (6 / 20), rtol=1e-5)


def test_fast_file_waits_for_whoever_takes_and_drops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "long.wav"
    soundfile.write(path, np.tile(NOISE, 20), 16000, subtype="FLOAT")
    with listening(source(path, real_time=False), queue_s=2.0) as heard:
        wait_until(lambda: heard.intake.status("yard").delivered_s >= 2.0)
        assert heard.intake.status("yard").delivered_s == 2.0, "the queue is full and the file waits"
        heard.until(lambda: heard.intake.ended)
    assert len(heard.samples("yard")) == 20 * len(NOISE)
    assert heard.intake.status("yard").dropped_s == 0


def test_real_time_file_keeps_a_microphones_pace(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, NOISE[:9_700], 16000, subtype="FLOAT")
    began_s = time.monotonic()
    with listening(source(path)) as heard:
        heard.until(lambda: heard.intake.ended)
    blocks = heard.of("yard")
    assert all(len(block.samples) == 3 * 640 for block in blocks[:-1])
    for block in blocks:
        assert block.end_monotonic_s - began_s >= block.end_sample / 16_000 - 0.001
    assert blocks[-1].end_wall_s == pytest.approx(time.time(), abs=5)
    assert np.array_equal(heard.samples("yard"), NOISE[:9_700])


def test_loop_begins_a_new_stream_at_each_pass(tmp_path: Path) -> None:
    path = tmp_path / "short.wav"
    soundfile.write(path, NOISE[:1000], 16000, subtype="FLOAT")
    with listening(source(path, loop=True, real_time=False), queue_s=0.5) as heard:
        heard.until(lambda: len(heard.of("yard")) >= 40)
        assert not heard.intake.ended
    blocks = heard.of("yard")
    assert_continuous(blocks)
    assert [block.stream for block in blocks] == list(range(len(blocks)))
    assert all(block.last for block in blocks)


def test_missing_file_is_told_and_opened_again_until_it_is_there(tmp_path: Path) -> None:
    path = tmp_path / "later.wav"
    with listening(source(path, real_time=False)) as heard:
        status = heard.until_state("yard", "absent")
        assert status.problem.startswith(f"{path}: No such file")
        assert not heard.intake.ended
        soundfile.write(tmp_path / "new.wav", NOISE, 16000, subtype="FLOAT")
        (tmp_path / "new.wav").rename(path)
        heard.until(lambda: heard.intake.ended)
    assert heard.states("yard") == ["absent", "healthy", "ended"]
    assert np.array_equal(heard.samples("yard"), NOISE)


def test_file_that_breaks_in_the_middle_ends_with_its_problem(tmp_path: Path) -> None:
    path = tmp_path / "broken.flac"
    soundfile.write(path, np.tile(NOISE, 10), 16000)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 50_000] = bytes(50_000)
    path.write_bytes(data)
    with listening(source(path, real_time=False)) as heard:
        heard.until(lambda: heard.intake.ended)
    blocks = heard.of("yard")
    assert_continuous(blocks)
    assert blocks[-1].last
    status = heard.intake.status("yard")
    assert status.state == "ended"
    assert status.problem.startswith(f"{path}: cannot be decoded")


def test_several_sources_do_not_disturb_each_other(noise_file: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.flac"
    soundfile.write(other, np.stack([NOISE, NOISE], axis=1), 44100)
    sources = [
        source(noise_file, "one", real_time=False),
        source(other, "two", real_time=False),
        source(tmp_path / "none.wav", "three", real_time=False),
    ]
    with listening(*sources) as heard:
        heard.until(lambda: heard.intake.status("one").state == heard.intake.status("two").state == "ended")
        heard.until_state("three", "absent")
    assert_continuous(heard.of("one"))
    assert_continuous(heard.of("two"))
    assert len(heard.samples("one")) == len(NOISE)
    assert len(heard.samples("two")) == pytest.approx(len(NOISE) * 16000 / 44100, abs=1)


def test_wait_returns_at_once_when_a_block_comes_and_false_in_time_when_none_does(noise_file: Path) -> None:
    heard = Listening([source(noise_file, real_time=False)])
    assert not heard.intake.wait(0.01)
    heard.intake.start()
    assert heard.intake.wait(10)
    heard.intake.stop()


def test_stop_wakes_the_waiting_thread_and_may_be_repeated(tmp_path: Path) -> None:
    intake = Intake([source(tmp_path / "none.wav")], lambda source_id, status: None)
    answers: list[bool] = []
    intake.start()
    waiter = threading.Thread(target=lambda: answers.append(intake.wait(60)))
    waiter.start()
    intake.stop()
    waiter.join(5)
    assert answers == [False]
    intake.stop()


def test_stop_before_start_is_fine(tmp_path: Path) -> None:
    Intake([source(tmp_path / "none.wav")], lambda source_id, status: None).stop()


def test_unknown_source_has_no_status(tmp_path: Path) -> None:
    intake = Intake([source(tmp_path / "none.wav")], lambda source_id, status: None)
    with pytest.raises(KeyError):
        intake.status("nobody")
    intake.stop()


def test_error_of_our_own_is_told_and_the_source_opened_again(
    noise_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(path: str) -> None:
        monkeypatch.undo()
        raise ZeroDivisionError

    monkeypatch.setattr("earshot_node.audio.file_session.read_audio_file", broken)
    with listening(source(noise_file, real_time=False)) as heard:
        heard.until(lambda: heard.intake.ended)
    assert heard.changes[0][1].problem == "unexpected error: ZeroDivisionError; see the log"
    assert heard.states("yard") == ["absent", "healthy", "ended"]
    assert "ZeroDivisionError" in caplog.text
