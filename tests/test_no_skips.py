"""Where nothing may be skipped, a skip fails the run: in pytest, in scripts/check, in .ci/run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

SKIPPING = """\
import pytest

def test_passes(): pass

@pytest.mark.skipif(True, reason="no lamp; plug one in")
def test_lamp(): pass
"""

HOME_ASSISTANT = """\
import pytest

@pytest.mark.home_assistant
def test_house(): pass

def test_shed(): pass
"""

SKIPPED_MODULE = 'import pytest\npytest.skip("no lamp shop", allow_module_level=True)\n'


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "test_lamp.py").write_text(SKIPPING)
    (folder / "test_shop.py").write_text(SKIPPED_MODULE)
    return folder


def run_pytest(
    repository: Path, suite: Path, no_skips: str, *arguments: str, variables: Mapping[str, str] = MappingProxyType({})
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-p", "conftest", "-p", "no:cacheprovider", "--rootdir", str(suite)]
    environ = os.environ | {"PYTHONPATH": str(repository / "tests"), "EARSHOT_NO_SKIPS": no_skips, **variables}
    return subprocess.run([*command, *arguments], cwd=suite, env=environ, capture_output=True, text=True)


def test_skips_are_allowed_to_a_person(repository: Path, suite: Path) -> None:
    done = run_pytest(repository, suite, "")
    assert done.returncode == 0, done.stdout
    assert "1 passed, 2 skipped" in done.stdout.splitlines()[-1]


def test_skips_fail_the_run_by_name_where_none_may_be(repository: Path, suite: Path) -> None:
    done = run_pytest(repository, suite, "1")
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout
    assert "test_lamp.py::test_lamp: no lamp; plug one in" in done.stdout
    assert "test_shop.py: no lamp shop" in done.stdout
    assert "1 passed, 2 skipped" in done.stdout.splitlines()[-1]


def test_run_without_skips_passes(repository: Path, suite: Path) -> None:
    assert run_pytest(repository, suite, "1", "test_lamp.py::test_passes").returncode == 0


@pytest.mark.parametrize(("release", "passed"), [("", 1), ("2026.9", 2)])
def test_what_runs_in_home_assistant_is_left_out_aloud_unless_it_is_asked_for(
    repository: Path, tmp_path: Path, release: str, passed: int
) -> None:
    """It is the one thing that is left out without a skip: continuous integration runs it by its own script."""
    (tmp_path / "test_house.py").write_text(HOME_ASSISTANT)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = home_assistant: x\n")
    done = run_pytest(repository, tmp_path, "1", variables={"EARSHOT_TEST_HOME_ASSISTANT": release})
    assert done.returncode == 0, done.stdout
    assert f"{passed} passed" in done.stdout.splitlines()[-1]
    told = "1 tests in a real Home Assistant; scripts/test-home-assistant runs them"
    assert (told in done.stdout) == (release == "")
    assert "scripts/test-home-assistant" in (repository / ".ci/run").read_text()


@pytest.mark.parametrize(("variables", "exit_code"), [({}, 0), ({"CI": "true"}, 1), ({"EARSHOT_NO_SKIPS": "1"}, 1)])
def test_missing_shellcheck_fails_where_nothing_may_be_skipped(
    repository: Path, variables: dict[str, str], exit_code: int
) -> None:
    bash = shutil.which("bash")
    assert bash is not None
    script = f". {repository}/scripts/lib/shell_check.sh && shell_is_clean x.sh"
    done = subprocess.run([bash, "-c", script], env={"PATH": "/nowhere", **variables}, capture_output=True, text=True)
    assert done.returncode == exit_code
    assert "sudo apt-get install shellcheck" in done.stdout


@pytest.mark.parametrize(
    ("steps", "exit_code", "last_lines"),
    [
        ({"test": "echo '=== 3 passed in 0.1s ==='"}, 0, ["=== 3 passed in 0.1s ==="]),
        (
            {"check": "exit 1", "test": "echo '=== 3 passed in 62.00s (0:01:02) ==='"},
            1,
            ["failed: scripts/check", "=== 3 passed in 62.00s (0:01:02) ==="],
        ),
        (
            {"test": "echo '=== 1 failed, 2 passed in 1.00s ==='; exit 1"},
            1,
            ["failed: scripts/test", "=== 1 failed, 2 passed in 1.00s ==="],
        ),
        (
            {"test": "echo '=== 3 passed in 0.1s ==='", "test-home-assistant": "exit 1"},
            1,
            ["failed: scripts/test-home-assistant", "=== 3 passed in 0.1s ==="],
        ),
        ({"test": "echo hello"}, 1, ["hello", "failed: scripts/test, which did not say how it ended"]),
    ],
)
def test_continuous_integration_fails_with_any_step_and_names_it(
    repository: Path, tmp_path: Path, steps: dict[str, str], exit_code: int, last_lines: list[str]
) -> None:
    clone = tmp_path / "clone"
    (tmp_path / "shared/data").mkdir(parents=True)
    for folder in (".ci", "scripts"):
        (clone / folder).mkdir(parents=True)
    shutil.copy(repository / ".ci/run", clone / ".ci/run")
    for name in ("check", "demo", "test", "test-home-assistant"):
        (clone / "scripts" / name).write_text(f"#!/bin/sh\n{steps.get(name, 'exit 0')}\n")
        (clone / "scripts" / name).chmod(0o755)
    done = subprocess.run([clone / ".ci/run"], capture_output=True, text=True)
    assert done.returncode == exit_code
    assert done.stdout.splitlines()[-len(last_lines) :] == last_lines
