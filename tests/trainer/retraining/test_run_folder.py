"""A run's folder: stamps, what they stand for, versions."""

from datetime import date
from pathlib import Path

import pytest

from earshot_node.errors import ConfigError, OperatorError
from earshot_trainer.retraining.run_folder import STAGES, RunFolder, RunRequest, find_run, new_run, runs_of
from earshot_trainer.retraining.settings import load_settings
from earshot_trainer.retraining.versions import next_version


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    return new_run(tmp_path, RunRequest())


def finish(run: RunFolder, *stages: str) -> None:
    for stage in STAGES:
        if stage in stages:
            run.finish(stage, [run.write(f"{stage}.made", {"stage": stage})], ["wrote it"], 1.0, 2.0)


def test_new_run_begins_with_collecting(run: RunFolder) -> None:
    assert run.next_stage() == "collect"
    assert (run.folder.stat().st_mode & 0o777, (run / "request.json").stat().st_mode & 0o777) == (0o700, 0o600)


def test_stamped_stages_are_done(run: RunFolder) -> None:
    finish(run, "collect", "split")
    assert RunFolder(run.folder).next_stage() == "train"


def test_changed_or_missing_file_makes_its_stage_undone(run: RunFolder) -> None:
    finish(run, *STAGES)
    assert run.next_stage() is None
    (run / "quantize.made").write_text("{}")
    assert run.next_stage() == "quantize"
    (run / "split.made").unlink()
    assert run.next_stage() == "split"


def test_running_a_stage_again_makes_the_later_ones_undone(run: RunFolder) -> None:
    finish(run, *STAGES)
    finish(run, "evaluate")
    assert run.next_stage() == "gate"
    assert run.stamp("calibrate") is not None


def test_half_a_stamp_is_none(run: RunFolder) -> None:
    finish(run, "collect")
    stamp = run / "stages" / "collect.json"
    stamp.write_bytes(stamp.read_bytes()[:-20])
    assert run.next_stage() == "collect"


def test_forced_run_keeps_what_was_trained_and_judges_again(run: RunFolder) -> None:
    finish(run, *STAGES)
    forced = run.forced()
    assert forced.request.force
    assert forced.next_stage() == "gate"


def test_request_reads_back(tmp_path: Path) -> None:
    request = RunRequest(settings=load_settings(("tuning.steps=3", "seed=7")), nodes=("attic",), force=True)
    new_run(tmp_path, request)
    assert find_run(tmp_path).request == request
    assert [one.request for one in runs_of(tmp_path)] == [request]


def test_home_without_a_run_says_how_to_begin(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="trainer-cli retrain"):
        find_run(tmp_path)


@pytest.mark.parametrize("override", ["tuning.stepps=3", "tuning.steps=0", "nothing"])
def test_wrong_setting_is_refused(override: str) -> None:
    with pytest.raises(ConfigError):
        load_settings((override,))


@pytest.mark.parametrize(
    ("known", "version"),
    [
        (["2026.10.7"], "2026.11.0"),
        (["2026.11.1"], "2026.11.2"),
        (["2026.11.1", "2026.11.22", "2025.12.40"], "2026.11.23"),
        (["2027.1.3"], "2027.1.4"),
        ([], "2026.11.0"),
        (["bare", "2026.9.1"], "2026.11.0"),
    ],
)
def test_next_version_is_newer_than_all_known_ones(known: list[str], version: str) -> None:
    assert next_version(known, date(2026, 11, 22)) == version
