"""A round that is killed in any stage, before or after it wrote, goes on with that stage; each is finished once."""

import io
import os
import signal
from multiprocessing import get_context
from pathlib import Path

import pytest
from rich.console import Console
from support.trainer_home import make_home

from earshot_node.errors import OperatorError
from earshot_trainer.home.folder import Home
from earshot_trainer.retraining import command
from earshot_trainer.retraining.run_folder import STAGES, RunRequest, StageName, runs_of
from earshot_trainer.retraining.stage import Stage


def work_that_dies(deadly: str, when: str) -> object:
    """Stages that write a file and note that they ran; one of them is killed before, or after, it wrote."""

    def work_of(name: StageName) -> object:
        def work(stage: Stage) -> None:
            if (name, when) == (deadly, "before"):
                os.kill(os.getpid(), signal.SIGKILL)
            with (stage.run / "ran.log").open("a") as log:
                log.write(f"{name}\n")
            stage.write(stage.run.write(f"{name}.json", {"stage": name}))
            if (name, when) == (deadly, "after"):
                os.kill(os.getpid(), signal.SIGKILL)
            if name == "gate":
                stage.write(stage.run.write("gate.json", {"outcome": "promote"}))

        return work

    return work_of


def run_and_die(home: Home, deadly: str, when: str) -> int | None:
    """Retrain in a process of its own; returns how that ended."""

    def body() -> None:
        command.work_of = work_that_dies(deadly, when)  # type: ignore[assignment]
        os._exit(command.retrain(home, RunRequest(), Console(quiet=True)))

    process = get_context("fork").Process(target=body)
    process.start()
    process.join(60)
    return process.exitcode


@pytest.mark.parametrize("when", ["before", "after"])
def test_round_that_is_killed_once_in_every_stage_still_ends(tmp_path: Path, when: str) -> None:
    home = make_home(tmp_path / "home")
    for stage in STAGES:
        assert run_and_die(home, stage, when) == -signal.SIGKILL
        (run,) = runs_of(home.folder)
        assert run.next_stage() == stage
    assert run_and_die(home, "none", when) == 0
    (run,) = runs_of(home.folder)
    assert run.next_stage() is None
    # As long as nothing is split, recordings are collected anew.
    begin, times = (["collect", "collect", "split"], 1) if when == "before" else (["collect", *STAGES[:2] * 2], 2)
    rest = [stage for stage in STAGES[2:] for _ in range(times)]
    assert (run / "ran.log").read_text().splitlines() == [*begin, *rest]


def test_round_that_ended_for_want_of_recordings_collects_again(tmp_path: Path) -> None:
    home, text = make_home(tmp_path / "home"), io.StringIO()
    for _ in range(2):
        with pytest.raises(OperatorError, match="too few to learn from"):
            command.retrain(home, RunRequest(), Console(file=text, width=200))
    assert len(runs_of(home.folder)) == 1
    assert "collect: done before" not in text.getvalue()


def test_finished_round_is_followed_by_a_new_one(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    assert [run_and_die(home, "none", "") for _ in range(2)] == [0, 0]
    assert len(runs_of(home.folder)) == 2


def test_unfinished_round_with_other_options_is_named(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home")
    run_and_die(home, "train", "before")
    (run,) = runs_of(home.folder)
    with pytest.raises(OperatorError, match=f"--run {run.name}"):
        command.retrain(home, RunRequest(force=True), Console(quiet=True))
