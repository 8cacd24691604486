import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Collection
from pathlib import Path

import pytest
from click.testing import CliRunner

from earshot_trainer.cli.main import COMMANDS, EXTRA_MODULES, cli

RUN = {
    "recipe": {"name": "siren", "model": {"labels": ["siren"]}},
    "seed": 1,
    "code_version": "test",
    "dataset_sha256": "ab" * 32,
    "training_groups": ["1"],
    "trained_on": {},
    "audio_licences": {"CC0": 1},
}
TRAINER_CLI = Path(sys.executable).with_name("trainer-cli")
PROGRAM = "from earshot_trainer.cli.main import main; main()"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)


def run_without(modules: Collection[str], home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the program where these modules cannot be imported, with an empty home."""
    program = f"import sys; sys.modules.update(dict.fromkeys({sorted(modules)!r})); {PROGRAM}"
    command = [sys.executable, "-c", program, *arguments]
    environ = os.environ | {"EARSHOT_HOME": str(home)}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"]])
def test_help_loads_no_heavy_library(arguments: list[str]) -> None:
    check = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from earshot_trainer.cli.main import cli\n"
        f"result = CliRunner().invoke(cli, {arguments!r})\n"
        "assert result.exit_code == 0, result.output\n"
        "heavy = {'torch', 'torchaudio', 'onnx', 'onnxruntime', 'sklearn', 'numpy', 'soundfile'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    result = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_help_is_instant() -> None:
    taken_s = []
    for _ in range(3):
        process = subprocess.Popen([TRAINER_CLI, "--help"], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0
        taken_s.append(usage.ru_utime + usage.ru_stime)  # processor time: other tests may be busy beside this one
    assert min(taken_s) < 0.4


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_has_short_help_with_an_example(name: str) -> None:
    result = CliRunner().invoke(cli, [name, "-h"])
    assert result.exit_code == 0, result.output
    assert f"trainer-cli {name}" in result.output


def test_group_help_names_every_command() -> None:
    result = CliRunner().invoke(cli, ["-h"])
    assert result.exit_code == 0
    assert all(f"  {name}" in result.output for name in COMMANDS)


def test_unknown_command_is_a_usage_error() -> None:
    result = run("brain")
    assert result.returncode == 2
    assert "No such command 'brain'" in result.stderr


def test_operator_error_is_one_line_without_traceback() -> None:
    result = run("train", "--recipe", "none.yaml", "--data", "none.csv", "--out", "nowhere")
    assert result.returncode == 1
    assert result.stderr.strip().splitlines() == [
        "error: cannot read recipe none.yaml: No such file or directory; try config/recipes/siren.yaml"
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ["nodes"],
        ["init", "--url", "http://trainer.lan:8770", "--broker", "broker.lan"],
        ["train", "--recipe", "none.yaml", "--data", "none.csv", "--out", "nowhere"],
    ],
)
def test_command_in_an_environment_without_the_extra_names_the_extra(tmp_path: Path, arguments: list[str]) -> None:
    result = run_without(EXTRA_MODULES, tmp_path, *arguments)
    assert result.returncode == 1
    (line,) = result.stderr.splitlines()
    module = line.removeprefix("error: ").partition(" ")[0]
    assert module in EXTRA_MODULES
    assert line == (
        f"error: {module} is missing, the extra `trainer` is not installed here; in the checkout use scripts/trainer, "
        "or `pip install '.[trainer]'`"
    )


def test_missing_module_that_no_extra_brings_stays_unexpected(tmp_path: Path) -> None:
    result = run_without({"earshot_trainer.home.folder"}, tmp_path, "nodes")
    assert result.returncode == 1
    assert result.stderr.startswith("error: unexpected ModuleNotFoundError: import of earshot_trainer.home.folder")


def test_modules_of_the_extra_are_those_of_the_project(repository: Path) -> None:
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    names = [re.split("[>=]", line)[0].replace("-", "_") for line in project["optional-dependencies"]["trainer"]]
    assert {{"scikit_learn": "sklearn"}.get(name, name) for name in names} == EXTRA_MODULES


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 half a zip", bytes(1000)])
def test_corrupt_bundle_or_graph_is_one_line_that_names_it(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("sklearn", reason="scikit-learn is missing; run scripts/test without --node")
    bundle = tmp_path / "broken.earshot"
    bundle.write_bytes(content)
    (tmp_path / "manifest.csv").write_text("path,label\na.wav,siren\n")
    evaluated = run("evaluate", str(bundle), "--data", str(tmp_path / "manifest.csv"))
    points = '{"siren": {"enter": 0.5, "leave": 0.3, "min_length_s": 0.2, "bridging_s": 1, "cooldown_s": 1}}'
    (tmp_path / "presets.json").write_text(f'{{"quiet": {points}, "balanced": {points}, "sensitive": {points}}}')
    (tmp_path / "run.json").write_text(json.dumps(RUN))
    options = {"--model": bundle, "--run": tmp_path, "--presets": tmp_path / "presets.json", "--out": tmp_path / "out"}
    words = [str(word) for pair in options.items() for word in pair]
    packaged = run("package", *words, "--version", "2026.11.9")
    for result in (evaluated, packaged):
        assert result.returncode == 1
        (line,) = result.stderr.strip().splitlines()
        assert line.startswith("error: ")
        assert "broken.earshot" in line
    assert not (tmp_path / "out").exists()
