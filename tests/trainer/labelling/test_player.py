"""Recordings are heard through whatever program the machine has; a program that cannot is told and left alone."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from support.kept_recordings import keep_recording
from support.label_terminal import label_terminal, read_until
from support.sound_program import FAILS, SoundProgram
from support.sounds import wail
from support.trainer_home import make_home
from support.waiting import wait_until

from earshot_trainer.labelling.player import Player

Provide = Callable[..., SoundProgram]


@pytest.fixture
def provide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Provide:
    """Make a program that is the only one on the search path."""

    def provided(*words: str) -> SoundProgram:
        folder = tmp_path / "sound"
        folder.mkdir()
        program = SoundProgram(folder, *words)
        monkeypatch.setenv("PATH", str(program.path))
        return program

    return provided


def tone(peak: float) -> NDArray[np.float32]:
    return (peak * np.sin(np.arange(8000) / 8)).astype(np.float32)


@pytest.mark.parametrize(("peak", "heard"), [(0.02, 0.5), (0.001, 0.03), (1.0, 0.5)])
def test_every_recording_is_about_as_loud_but_silence_is_not_blown_up(
    provide: Provide, peak: float, heard: float
) -> None:
    program = provide("paplay")
    with Player() as player:
        player.play(tone(peak))
        program.wait_for(1)
    assert np.allclose(program.heard(0), tone(heard), atol=1e-3)


def test_next_recording_silences_the_one_that_plays_and_the_end_all(provide: Provide) -> None:
    program = provide("paplay")
    with Player() as player:
        player.play(tone(0.5))
        program.wait_for(1)
        player.play(tone(0.2))
        program.wait_for(3)
        assert player.problem() == ""
    assert program.log == ["plays", "silenced", "plays", "silenced"]


@pytest.mark.parametrize(
    ("name", "words"), [("aplay", "plays -q"), ("ffplay", "plays -nodisp -autoexit -loglevel error")]
)
def test_program_that_there_is_gets_the_words_that_it_needs(provide: Provide, name: str, words: str) -> None:
    program = provide(name)
    with Player() as player:
        assert player.program == name
        player.play(tone(0.5))
        assert program.wait_for(1) == [words]


def test_machine_without_a_program_plays_nothing(provide: Provide) -> None:
    program = provide("another-player")
    with Player() as player:
        player.play(tone(0.5))
        assert (player.program, player.problem()) == ("", "")
    assert program.log == []


def test_program_that_fails_is_told_once_and_not_tried_again(provide: Provide) -> None:
    program = provide("paplay", FAILS)
    with Player() as player:
        player.play(tone(0.5))
        told: list[str] = []
        wait_until(lambda: told.append(player.problem()) or told[-1], 60, "the problem")
        assert told[-1] == "cannot play here: no sound card here"
        assert (player.program, player.problem()) == ("", "")
        player.play(tone(0.5))
    assert program.log == ["plays"]


def test_person_hears_each_recording_and_again_by_a_key(tmp_path: Path, provide: Provide) -> None:
    home = make_home(tmp_path / "home")
    for hour in (2, 1):  # the latest is first
        keep_recording(home, hour, pcm=wail(hour, hour))
    program = provide("paplay")
    with label_terminal(home, silent=False) as (keys, process):
        read_until(keys, "[q] quit")
        program.wait_for(1)
        os.write(keys, b"p")
        assert "[p] play again" in read_until(keys, "[q] quit")
        program.wait_for(3)
        os.write(keys, b"s")
        read_until(keys, "2 of 2")
        read_until(keys, "[q] quit")
        program.wait_for(5)
        os.write(keys, b"q")
        read_until(keys, "1 labelled, 0 skipped; 1 left")
        assert process.wait(20) == 0
    assert program.log == ["plays", "silenced"] * 3
    assert [len(program.heard(number)) for number in range(3)] == [32_000, 32_000, 16_000]
    assert np.corrcoef(program.heard(2), wail(1, 1))[0, 1] > 0.99


def test_person_is_told_why_nothing_is_heard_and_goes_on(tmp_path: Path, provide: Provide) -> None:
    home = make_home(tmp_path / "home")
    keep_recording(home, 1)
    provide("paplay", FAILS)
    with label_terminal(home, silent=False) as (keys, process):
        seen = read_until(keys, "cannot play here: no sound card here")
        assert "play again" not in seen.rpartition("1 of 1")[2]
        os.write(keys, b"b")
        read_until(keys, "1 labelled")
        os.write(keys, b"\n")
        assert process.wait(20) == 0


def test_nothing_is_played_to_who_wants_silence(tmp_path: Path, provide: Provide) -> None:
    home = make_home(tmp_path / "home")
    keep_recording(home, 1)
    program = provide("paplay")
    with label_terminal(home) as (keys, process):
        assert "play again" not in read_until(keys, "[q] quit")
        os.write(keys, b"p")
        read_until(keys, "[q] quit")
        os.write(keys, b"q")
        assert process.wait(20) == 0
    assert program.log == []
