import subprocess
import sys

import pytest
from click.testing import CliRunner

from earshot_trainer.cli.main import COMMANDS, cli

PROGRAM = "from earshot_trainer.cli.main import main; main()"


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=False)


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
